"""Where tracked things have just been."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.messages import FrameResult, TrackState


class Step(NamedTuple):
    """One place of one track: the middle of the lower edge of its box, in pixels of the source."""

    seconds: float
    x: float
    y: float


def moment(result: FrameResult) -> float:
    """Seconds on the source's own time line, or of the capture clock where the source tells no time."""
    return result.capture_time_ns / 1e9 if result.pts_seconds is None else result.pts_seconds


class Trails:
    """The steps of one source's tracks over the last few seconds; a new epoch starts afresh."""

    def __init__(self, *, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.now = 0.0
        self._epoch = 0
        self._steps: dict[int, deque[Step]] = {}

    def update(self, result: FrameResult) -> None:
        """Take in the confirmed tracks of the next result and forget what is too old."""
        now = moment(result)
        if result.epoch != self._epoch or now < self.now:
            self._steps.clear()
        self._epoch, self.now = result.epoch, now
        confirmed = result.tracks[result.tracks.states == TrackState.CONFIRMED]
        for track_id, (left, _, right, bottom) in zip(confirmed.ids.tolist(), confirmed.boxes.tolist(), strict=True):
            self._steps.setdefault(track_id, deque()).append(Step(now, (left + right) / 2, bottom))
        self._forget(now - self.seconds)

    def _forget(self, before: float) -> None:
        for steps in self._steps.values():
            while steps and steps[0].seconds < before:
                steps.popleft()
        self._steps = {track_id: steps for track_id, steps in self._steps.items() if steps}

    def __iter__(self) -> Iterator[tuple[int, list[Step]]]:
        """Each track id with its steps, oldest first."""
        return ((track_id, list(steps)) for track_id, steps in self._steps.items())

    def __len__(self) -> int:
        return len(self._steps)
