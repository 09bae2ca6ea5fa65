"""Clips of the world: a lively crossing by daylight, as a video file with its truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from stages.models.world.catalogue import Split
from stages.models.world.frame import WorldFrame
from stages.models.world.scene import Wishes
from stages.models.world.traffic import Crowd
from stages.models.world.truth import write_truth
from stages.models.world.world import World

_CROSSING: Final[dict[Split, Wishes]] = {
    "train": Wishes("crossing", "noon", "clear", "mast", moving_camera=False, orderly=True),
    "unseen": Wishes("junction", "white_noon", "fair", "first_floor", moving_camera=False, orderly=True),
}
_LIVELY: Final = Crowd(vehicles=9, cyclists=5, walkers=18, standers=4)


def crossing(seed: int, *, split: Split = "unseen", width: int = 1280, height: int = 720, fps: float = 25.0) -> World:
    """A lively crossing by daylight, seen by a good camera that does not move."""
    return World(
        seed, split=split, width=width, height=height, fps=fps, quality="clean", wishes=_CROSSING[split], crowd=_LIVELY
    )


def write_clip(
    world: World, seconds: float, output: str | Path, *, truth: str | Path | None = None, crf: int = 23,
    progress: Callable[[int, int], None] | None = None,
) -> int:  # fmt: skip
    """Renders a world into an H.264 file, and its truth beside it; gives the number of frames.

    progress is called with the frames done and the frames to be done.

    Raises:
        ValueError: for a time without a frame in it, or an odd width or height (H.264 halves the colour planes).
    """
    count = round(seconds * world.fps)
    if count < 1:
        raise ValueError(f"seconds must be at least {1 / world.fps:g} at {world.fps:g} frames a second, got {seconds}")
    if world.width % 2 or world.height % 2:
        raise ValueError(f"width and height must be even, got {world.width}x{world.height}")
    frames = _encoded(world, count, Path(output), crf, progress)
    if truth is None:
        return sum(1 for _ in frames)
    write_truth(truth, frames, fps=world.fps)
    return count


def _encoded(
    world: World, count: int, output: Path, crf: int, progress: Callable[[int, int], None] | None
) -> Iterator[WorldFrame]:
    """The frames of a world as they are written to a file; it is whole once they are exhausted."""
    import av  # only here: whoever renders worlds for training has no need of a codec

    with av.open(str(output), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(world.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = world.width, world.height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow", "threads": "1"}  # one thread: the same bytes everywhere
        for number, frame in enumerate(world.frames(count)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
            if progress is not None:
                progress(number + 1, count)
            yield frame
        container.mux(stream.encode(None))
