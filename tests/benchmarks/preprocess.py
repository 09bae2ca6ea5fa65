"""From decoded planes to a network's picture: everyframe's one pass against converting the whole frame, then resizing.

``python -m tests.benchmarks.preprocess`` prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from pipeline.messages import Surface, UInt8
from stages.models.preprocess import InputSpec, Preprocessor

SIZES = ((768, 432), (1280, 720), (1920, 1080))
SPEC = InputSpec(width=416, height=416, colours="bgr", fit="corner")


def planes(width: int, height: int) -> tuple[UInt8, tuple[UInt8, UInt8, UInt8]]:
    """A picture as one I420 array, which OpenCV converts, and as the planes of a surface."""
    rng = np.random.default_rng(0)
    i420 = rng.integers(16, 235, (height * 3 // 2, width), dtype=np.uint8)
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    return i420, (i420[:height], chroma[0], chroma[1])


def convert_then_resize(i420: UInt8, width: int, height: int) -> UInt8:
    """What a user's loop does: the whole frame to BGR, resized, into the letterbox."""
    ratio = min(SPEC.width / width, SPEC.height / height)
    size = (int(width * ratio), int(height * ratio))
    picture = np.full((SPEC.height, SPEC.width, 3), SPEC.padding, dtype=np.uint8)
    picture[: size[1], : size[0]] = cv2.resize(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), size)
    return picture


def fastest_ms(work: Callable[[], Any], rounds: int = 300) -> float:
    """The fastest of several runs: the one least disturbed by what else the machine does."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main() -> None:
    """Print milliseconds a frame and their ratio, on one thread."""
    cv2.setNumThreads(1)
    print(f"{'frame':<10} {'format':<8} {'one pass ms':>11} {'convert, resize ms':>18} {'ratio':>6}")
    for width, height in SIZES:
        i420, (y, u, v) = planes(width, height)
        theirs = fastest_ms(lambda i420=i420, w=width, h=height: convert_then_resize(i420, w, h))
        surfaces = {
            "yuv420p": Surface("yuv420p", (y, u, v)),
            "nv12": Surface("nv12", (y, np.ascontiguousarray(np.stack([u, v], axis=-1)))),
            "bt709": Surface("yuv420p", (y, u, v), matrix="bt709"),
        }
        for name, surface in surfaces.items():
            preprocess = Preprocessor(SPEC)
            ours = fastest_ms(lambda p=preprocess, s=surface: p(s))
            print(f"{f'{width}x{height}':<10} {name:<8} {ours:>11.3f} {theirs:>18.3f} {theirs / ours:>6.2f}")


if __name__ == "__main__":
    main()
