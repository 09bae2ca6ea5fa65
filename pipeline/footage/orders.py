"""What a worker of `everyframe process` is asked for, and what it tells: lines of JSON."""

from __future__ import annotations

import msgspec

from pipeline.config import PipelineConfig
from pipeline.footage.cutting import Selection
from pipeline.messages import Piece


class Start(msgspec.Struct, frozen=True, tag=True):
    """What holds for all orders; the networks are loaded for the first piece."""

    config: PipelineConfig


class Analyse(msgspec.Struct, frozen=True, tag=True):
    """Look at a piece, and leave what was found at `target`. `analysed`: time stamps, int64; None: all."""

    recording: str
    began: str
    piece: Piece
    selection: Selection
    was_cut: bool
    target: str
    analysed: bytes | None = None


class Export(msgspec.Struct, frozen=True, tag=True):
    """Make exports of results that are whole, into their own folder."""

    names: tuple[str, ...]
    folder: str
    recordings: tuple[str, ...]  # segments in order

    @property
    def recording(self) -> str:
        """The first."""
        return self.recordings[0]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The networks are loaded."""

    notes: tuple[str, ...]


class Looked(msgspec.Struct, frozen=True, tag=True):
    """So many frames of the piece have been looked at."""

    frames: int


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The piece is done."""

    frames: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It is not, and why; `ends` where nothing can be done any more, for no recording."""

    reason: str
    kind: str
    ends: bool = False


Order = Start | Analyse | Export
Report = Ready | Looked | Finished | Refused
