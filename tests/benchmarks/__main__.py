"""All comparisons: ``python -m tests.benchmarks [NAME ...] [--device cuda] [--quick] [--json FILE]``.

Without names, every one that runs on the device. What is written goes to ``results/cpu.json`` (or ``cuda.json``), with
names to ``results/NAME.json``, some as a picture beside it; a quick look is not written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path

from tests.benchmarks.bars import plot
from tests.benchmarks.table import Row, show, write

SECTIONS = {
    "softnms": "Soft-NMS",
    "idmap": "Id-map coding",
    "delivery": "Delivery over ZeroMQ and Redis",
    "tracking": "Tracking: HOTA on public detections, and milliseconds a frame",
    "drawing": "Drawing",
    "startup": "Start of the command",
    "endtoend": "End to end",
    "footage": "Recorded footage",
    "churn": "Sources that come and go",
    "device": "Device kernels",
    "nvdec": "NVIDIA's decoder",
    "streams": "Streams on a GPU",
    "panoptic": "Panoptic post-processing",
    "camera_motion": "HOTA under moving cameras, their motion told and not",
    "video_panoptic": "STQ (and VPQ), followed by masks and by boxes",
    "batching": "Deadline batching",
    "ceiling": "The runtime's own ceiling",
}
ON_CUDA = ("nvdec", "device", "streams", "panoptic")  # these run there, and need no PyAV
CUDA_ALONE = ("nvdec", "streams")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the named sections, print each, write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SECTIONS, []], help=f"one of {', '.join(SECTIONS)}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what the networks' part runs on")
    parser.add_argument("--quick", action="store_true", help="a short form of those that have one; writes nothing")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    device = arguments.device
    sections: dict[str, list[Row]] = {}
    here = ON_CUDA if device == "cuda" else [name for name in SECTIONS if name not in CUDA_ALONE]
    path = arguments.json or RESULTS / f"{'-'.join(arguments.names) or device}.json"
    for name in arguments.names or here:
        if device == "cuda" and name not in ON_CUDA:
            parser.error(f"{name} does not run on a GPU; one of {', '.join(ON_CUDA)} does")
        if device == "cpu" and name in CUDA_ALONE:
            parser.error(f"{name} runs on a GPU alone: --device cuda")
        run: Callable[..., list[Row]] = import_module(f"tests.benchmarks.{name}").run
        known = {"quick": arguments.quick, "device": device}
        begun = time.monotonic()
        sections[name] = run(**{key: value for key, value in known.items() if key in signature(run).parameters})
        show(SECTIONS[name], sections[name])
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
        if not arguments.quick or arguments.json is not None:
            write(path, sections)  # so far: what is measured outlives an interrupt
            picture = path.with_name(f"{name}.png")
            drawn = f" and {picture}" if plot(sections[name], picture, title=SECTIONS[name]) else ""
            print(f"written to {path}{drawn}", flush=True)


if __name__ == "__main__":
    main()
