"""Frames on their way through the stages."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from pipeline.messages.detections import Detections, Prototypes, SemanticMap
from pipeline.messages.frames import Frame
from pipeline.messages.panoptic import PanopticMap
from pipeline.messages.tracks import Tracks


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames that go through the network together, and what the stages have found; each field one entry a frame."""

    frames: tuple[Frame, ...]
    detections: tuple[Detections, ...] | None = None
    prototypes: tuple[Prototypes, ...] | None = None
    semantic: tuple[SemanticMap, ...] | None = None
    panoptic: tuple[PanopticMap, ...] | None = None
    tracks: tuple[Tracks, ...] | None = None
    analysed: tuple[bool, ...] | None = None  # None: every frame was

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and len(value) != len(self.frames):
                raise ValueError(f"Batch.{f.name} has {len(value)} entries for {len(self.frames)} frames")

    def __len__(self) -> int:
        return len(self.frames)

    def with_(self, **changes: Any) -> Batch:
        """The same batch with fields added or replaced."""
        return replace(self, **changes)
