"""What decoding a clip and inferring its frames cost by themselves: the floor no pipeline can go below.

``python -m tests.benchmarks.parts CLIP MODEL`` prints one line of JSON with the CPU seconds a frame of each.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

INFERENCES = 400


def decode_seconds(clip: Path) -> float:
    """CPU seconds a frame of decoding alone, threads as FFmpeg would have them on two cores."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = len(os.sched_getaffinity(0))
        began, frames = time.process_time(), 0
        for _ in container.decode(stream):
            frames += 1
    return (time.process_time() - began) / frames


def inference_seconds(model: Path, *, precision: str) -> float:
    """CPU seconds a frame of the network alone, as many requests side by side as there are cores."""
    from stages.detect.build import read_card
    from stages.models.backend import load_backend

    lanes, card = len(os.sched_getaffinity(0)), read_card(model)
    size = card.size if card else None
    backend = load_backend(model, precision=precision, threads=lanes, lanes=lanes, size=size)  # type: ignore[arg-type]
    picture = np.random.default_rng(0).integers(0, 255, backend.input_shape).astype(np.float32)
    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(lambda _: backend.view(picture), range(20)))
        began = time.process_time()
        list(pool.map(lambda _: backend.view(picture), range(INFERENCES)))
        return (time.process_time() - began) / INFERENCES


def main() -> None:
    """Measure one clip and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    inference = inference_seconds(arguments.model, precision=arguments.precision)
    print(json.dumps({"decode": decode_seconds(arguments.clip), "inference": inference}))


if __name__ == "__main__":
    main()
