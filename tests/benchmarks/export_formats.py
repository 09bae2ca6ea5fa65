"""What a network costs in each format that it is exported to: ``python -m tests.benchmarks.export_formats``.

CPU milliseconds a picture on one thread, the forms taken in turns, so that a busy machine is unfair to none. Every
form is run by what its users run it with; ONNX by both runtimes that everyframe has.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import EMBEDDED_MODEL
from stages.models.backend import Normalisation, load_backend
from stages.models.exporting.deployed import INPUT_HEIGHT, INPUT_WIDTH, Deployed
from stages.models.exporting.export import Exported
from stages.models.exporting.formats import FORMATS
from stages.models.exporting.frames import as_input
from stages.models.exporting.request import Request, plan_of, run
from stages.models.exporting.subject import open_trained

CLIP = Path(__file__).resolve().parents[2] / "samples" / "crossing" / "crossing.mp4"
ROUNDS, CALLS = 12, 5

Form = Callable[[], Any]


def forms(model: str, exported: Sequence[Exported], picture: np.ndarray) -> dict[str, Form]:
    """What is timed, by name; the first is what the others are compared with."""
    import torch

    torch.set_num_threads(1)
    trained = open_trained(model)
    deployed, tensor = Deployed(trained.network, offsets=trained.offsets).eval(), torch.from_numpy(as_input(picture))
    paths = {one.format: one.path for one in exported}
    program = torch.export.load(paths["torch"]).module()  # written by this process
    backends = {
        name: load_backend(path, threads=1, precision=precision, normalise=Normalisation())
        for name, path, precision in (
            ("onnx, OpenVINO f32", paths["onnx"], "f32"),
            ("onnx, OpenVINO auto", paths["onnx"], "auto"),
            ("openvino f32", paths["openvino"], "f32"),
            ("int8, OpenVINO", paths["int8"], "auto"),
        )
    }
    found: dict[str, Form] = {name: lambda backend=backend: backend.view(picture) for name, backend in backends.items()}
    found["onnx, ONNX Runtime f32"] = onnxruntime_form(paths["onnx"], as_input(picture))
    return found | {"torch.export": lambda: program(tensor), "torch, eager": lambda: deployed(tensor)}


def onnxruntime_form(path: Path, images: np.ndarray) -> Form:
    """The file in ONNX Runtime, which everyframe would not run beside OpenVINO in one process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {session.get_inputs()[0].name: images})


def cpu_ms(timed: dict[str, Form]) -> dict[str, list[float]]:
    """CPU milliseconds a call, a value a round."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS):
        for name, form in timed.items():
            form()
            start = time.process_time()
            for _ in range(CALLS):
                form()
            times[name].append((time.process_time() - start) / CALLS * 1e3)
    return times


def table(times: dict[str, list[float]]) -> str:
    """A line a form: the median, and how many times as quick as the first, round by round."""
    first = next(iter(times.values()))
    lines = [f"{'form':<24} {'CPU ms':>8} {'times as quick':>15}"]
    for name, values in times.items():
        ratio = statistics.median(one / other for one, other in zip(first, values, strict=True))
        lines.append(f"{name:<24} {statistics.median(values):>8.1f} {ratio:>14.2f}x")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Export to all formats, time each."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.export_formats", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED_MODEL, help="what 'everyframe export' takes")
    parser.add_argument("--footage", nargs="+", default=[str(CLIP)])
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(
            Path(folder) / "model",
            formats=FORMATS,
            size=None,
            any_size=False,
            half=True,
            version="1",
            max_drop=1.0,
        )
        exported, _ = run(Request(model=options.model, plan=plan, footage=options.footage, checked=8, calibrated=60))
        for one in exported:
            same = f"{one.agreement.same} of {one.agreement.seen} detections the same"
            print(f"{one.format:<10} {one.size / 1e6:6.2f} MB, {max(one.agreement.mean.values()):.3%}, {same}")
        picture = np.random.default_rng(0).integers(0, 256, (1, INPUT_HEIGHT, INPUT_WIDTH, 3), dtype=np.uint8)
        with torch.no_grad():
            print(table(cpu_ms(forms(options.model, exported, picture))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
