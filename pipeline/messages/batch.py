"""Frames on their way through the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from pipeline.messages.detections import Detections, LabelMap, Prototypes, SemanticMap
from pipeline.messages.frames import Frame
from pipeline.messages.panoptic import PanopticMap
from pipeline.messages.tracks import Tracks


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames that go through the network together, and what the stages have found; each field one entry a frame."""

    frames: tuple[Frame, ...]
    detections: Sequence[Detections] | None = None  # a tuple, or `BatchDetections`; so are the others
    prototypes: tuple[Prototypes, ...] | None = None
    semantic: tuple[SemanticMap | LabelMap, ...] | None = None
    panoptic: tuple[PanopticMap | None, ...] | None = None  # None for a frame that was skipped as planned
    tracks: Sequence[Tracks] | None = None
    analysed: tuple[bool, ...] | None = None  # None: every frame was

    def __post_init__(self) -> None:
        for name in _FIELDS:
            value = getattr(self, name)
            if value is not None and len(value) != len(self.frames):
                raise ValueError(f"Batch.{name} has {len(value)} entries for {len(self.frames)} frames")

    def __len__(self) -> int:
        return len(self.frames)

    def with_(self, **changes: Any) -> Batch:
        """The same batch with fields added or replaced."""
        return Batch(**{name: getattr(self, name) for name in _FIELDS} | changes)

    @property
    def has_skips(self) -> bool:
        """Whether frames are skipped as planned."""
        return self.analysed is not None and not all(self.analysed)

    def to_analyse(self) -> Batch:
        """The frames that are not skipped as planned."""
        pairs = zip(self.frames, self.analysed or (True,) * len(self), strict=True)
        return Batch(tuple(frame for frame, wanted in pairs if wanted))

    def completed_by(self, analysed: Batch) -> Batch:
        """These frames with what was found in those of `to_analyse`; without those of them that it lacks."""
        row_of = {frame.identity: i for i, frame in enumerate(analysed.frames)}
        pairs = zip(self.frames, self.analysed or (True,) * len(self), strict=True)
        frames = [frame for frame, wanted in pairs if not wanted or frame.identity in row_of]
        rows = [row_of.get(frame.identity) for frame in frames]
        found, maps = analysed.detections or (), analysed.panoptic
        return Batch(
            tuple(frames),
            detections=tuple(Detections.empty() if row is None or not len(found) else found[row] for row in rows),
            panoptic=None if maps is None else tuple(None if row is None else maps[row] for row in rows),
            analysed=tuple(row is not None for row in rows),
        )

    def halves(self) -> tuple[Batch, Batch]:
        """The first frames and the others, as even as can be."""
        middle = (len(self) + 1) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, None))

    def joined(self, later: Batch) -> Batch:
        """These frames, then the later ones, which went through the same stages."""
        if not len(self) or not len(later):
            return self if len(self) else later
        pairs = ((name, getattr(self, name), getattr(later, name)) for name in _FIELDS)
        values: dict[str, Any] = {name: None if ours is None else (*ours, *theirs) for name, ours, theirs in pairs}
        return Batch(**values)

    def _part(self, rows: slice) -> Batch:
        fields_ = ((name, getattr(self, name)) for name in _FIELDS)
        values: dict[str, Any] = {name: None if value is None else value[rows] for name, value in fields_}
        return Batch(**values)


_FIELDS = tuple(f.name for f in fields(Batch))
