"""What every worker is given to work with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.board import Board, Phase, WorkerCells
from pipeline.config import SourceConfig
from pipeline.links.shared_memory import Ring
from pipeline.workers.control import Control
from pipeline.workers.messages import Spec


class Liveness:
    """Stamps on the board what a worker is doing, and until when it may."""

    def __init__(self, cells: WorkerCells) -> None:
        self._cells = cells

    def stamp(self, phase: Phase, seconds: float) -> None:
        """This phase has begun, and must be over (or be stamped again) within so many seconds."""
        self._cells.deadline_ns = time.monotonic_ns() + round(seconds * 1e9)
        self._cells.phase = phase


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker's tools."""

    spec: Spec
    control: Control
    board: Board
    liveness: Liveness
    rings: Mapping[int, Ring]  # by index of the source

    @property
    def sources(self) -> list[SourceConfig]:
        """All sources; the index is that on the board and in messages."""
        return self.spec.config.source_configs
