"""INT8 against f32 and bf16: box AP on photographs the scales were not measured on, and CPU time a picture.

    python -m tests.benchmarks.int8 [--detector FILE] [--photographs N] [--output FILE.xml]

Scales are measured on the first N photographs with instance annotations, AP on those with YOLO label files.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.messages import UInt8
from stages.detect.layouts import recognise
from stages.models.backend import Backend, Normalisation, load_backend, open_network
from stages.models.preprocess import InputSpec, Preprocessor
from stages.models.quantize import quantize
from tests.benchmarks.accuracy import SHARED, first, instances_truth, labelled_truth, measure, photograph

ROUNDS, CALLS = 12, 8


def wanted_picture(path: Path) -> InputSpec:
    """The picture a detector wants."""
    signature = open_network(path).signature
    return recognise(signature, path=path)[1].picture(signature)


def calibration(spec: InputSpec, coco: Path, count: int) -> Iterator[UInt8]:
    """Photographs as the network is to see them."""
    preprocess = Preprocessor(spec)
    for image in first(instances_truth(coco), count)["images"]:
        yield preprocess(photograph(coco / "images" / image["file_name"]).surface)[0].copy()


def cpu_ms(backends: dict[str, Backend], spec: InputSpec) -> dict[str, float]:
    """CPU milliseconds a picture on one thread, taken in turns, so that a busy machine is unfair to none."""
    picture = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(ROUNDS):
        for name, backend in backends.items():
            backend.view(picture)
            start = time.process_time()
            for _ in range(CALLS):
                backend.view(picture)
            times[name].append((time.process_time() - start) / CALLS * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(path: Path, quantized: Path, *, coco: Path, normalise: Normalisation) -> None:
    """Print the table."""
    forms = {"f32": (path, "f32"), "bf16": (path, "bf16"), "int8": (quantized, "auto")}
    truth = labelled_truth(coco)
    backends = {
        name: load_backend(file, precision=precision, threads=1, normalise=normalise)  # type: ignore[arg-type]
        for name, (file, precision) in forms.items()
    }
    times = cpu_ms(backends, wanted_picture(path))
    for backend in backends.values():
        backend.close()
    print(f"{path.stem}: {len(truth['images'])} photographs")
    print(f"{'form':<6} {'AP':>6} {'AP50':>6} {'CPU ms':>7} {'against bf16':>12}")
    for name, (file, precision) in forms.items():
        got = measure(file, precision=precision, truth=truth, coco=coco)["hard"]
        print(f"{name:<6} {got.ap:>6.3f} {got.ap50:>6.3f} {times[name]:>7.2f} {times['bf16'] / times[name]:>11.2f}x")


def main(arguments: Sequence[str] | None = None) -> int:
    """Quantize, compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.int8")
    parser.add_argument("--detector", type=Path, default=SHARED / "weights" / "yolox_nano_416.onnx")
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--output", type=Path, help="keep the INT8 network here (.xml)")
    options = parser.parse_args(arguments)
    coco = SHARED / "coco"
    if not coco.is_dir():
        print(f"no photographs in {coco}", file=sys.stderr)
        return 1
    spec = wanted_picture(options.detector)
    with tempfile.TemporaryDirectory() as folder:
        output = options.output or Path(folder) / "int8.xml"
        pictures = calibration(spec, coco, options.photographs)
        quantize(options.detector, pictures, output=output, normalise=spec.normalise)
        compare(options.detector, output, coco=coco, normalise=spec.normalise)
    return 0


if __name__ == "__main__":
    sys.exit(main())
