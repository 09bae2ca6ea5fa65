"""Identities of one source's boxes over time."""

from __future__ import annotations

from pipeline.config import TrackerConfig
from pipeline.messages import BatchDetections, Detections, Tracks
from stages.track.herd import Herd


class Tracker:
    """One tracker alone; see `Herd`. Ids belong to this object."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._herd = Herd(self.config)
        self._number = self._herd.admit()

    def reset(self) -> None:
        """Forgets all tracks; ids start at 1 again."""
        self._herd.reset(self._number)

    def update(self, detections: Detections, time_seconds: float) -> Tracks:
        """The tracks after seeing one frame's detections, by rising id: confirmed ones, and lost ones where predicted.

        Raises `ValueError` if time does not move forward.
        """
        return self._step(detections, time_seconds, analysed=True)

    def predict(self, time_seconds: float) -> Tracks:
        """The tracks where they are expected at a time without detections; nothing changes by asking.

        Raises `ValueError` if the time is not after the last update.
        """
        return self._step(Detections.empty(), time_seconds, analysed=False)

    def _step(self, detections: Detections, time_seconds: float, *, analysed: bool) -> Tracks:
        last = self._herd.last_seconds(self._number)
        if last is not None and not time_seconds > last:
            raise ValueError(f"time_seconds is {time_seconds}; more than the last frame's {last} is needed")
        found = BatchDetections.of((detections,))
        return self._herd.step((self._number,), (time_seconds,), found, (analysed,))[0]
