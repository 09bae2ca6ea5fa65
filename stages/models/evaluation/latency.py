"""How long a picture takes, and how large a model is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from stages.models.evaluation.figures import Latency
from stages.models.evaluation.subject import Subject, frame_of, run_stages

WARM_UP: Final = 5
PICTURES: Final = 60
_WEIGHTS = ("f16", "f32", "f64", "bf16", "i8", "u8", "i4", "u4")


def measure_latency(
    subjects: Sequence[Subject], images: Sequence[NDArray[np.uint8]], *, threads: int, pictures: int = PICTURES
) -> list[Latency]:
    """Time of RGB pictures [H, W, 3] through each model's stages, models taking turns so that a busy machine is fair.

    Args:
        subjects: the models, at a run's own thresholds.
        images: at least one; taken again from the first as often as needed.
        threads: that the models were loaded with.
        pictures: timed for each model.
    """
    spent: list[list[float]] = [[] for _ in subjects]
    for turn in range(WARM_UP + pictures):
        frame = frame_of(images[turn % len(images)], seq=turn)
        for subject, times in zip(subjects, spent, strict=True):
            begin = time.perf_counter()
            run_stages(subject.stages, frame)
            times.append(1e3 * (time.perf_counter() - begin))
    return [
        Latency(
            median_ms=float(np.median(times[WARM_UP:])),
            p95_ms=float(np.percentile(times[WARM_UP:], 95)),
            pictures=pictures,
            threads=threads,
            note=subject.note,
        )
        for subject, times in zip(subjects, spent, strict=True)
    ]


def parameters_of(model: Path) -> int:
    """Numbers in the constants of an ONNX file's graph, shapes and indices left out. Raises `ModelError`."""
    import openvino

    try:
        graph = openvino.Core().read_model(str(model))
    except RuntimeError as exc:
        raise ModelError(f"{model}: cannot be read as ONNX") from exc
    constants = (op for op in graph.get_ops() if op.get_type_name() == "Constant")
    return sum(
        int(np.prod(op.get_output_shape(0)))
        for op in constants
        if op.get_output_element_type(0).get_type_name() in _WEIGHTS and len(op.get_output_shape(0)) > 0
    )
