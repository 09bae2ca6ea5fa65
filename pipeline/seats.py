"""Seats: the places in a run that workers fill, one after another if they must; and the memory all of them share."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pipeline.board import Board, Role, WorkerCells
from pipeline.child import Child
from pipeline.config import SourceConfig
from pipeline.links.shared_memory import Geometry, Ring
from pipeline.retry import RestartPolicy

SPARE_SLOTS = 3  # one being written, one announced, one so that nobody waits


@dataclass(slots=True, eq=False)
class Seat:
    """One place, and the worker that fills it now."""

    role: Role
    index: int  # of its cells among the board's workers
    cells: WorkerCells
    policy: RestartPolicy
    source: int = -1  # a camera's
    child: Child | None = None
    ready: bool = False  # the worker works
    was_ready: bool = False  # some worker in this seat did
    done: bool = False  # nobody is to fill it any more
    start_at: float = 0.0  # monotonic seconds; not to be filled before
    stopped_checks: int = 0  # how often in a row it was found suspended
    late: tuple[int, int] | None = None  # past its deadline: since when, and how long it had waited for a core by then
    starts: int = 0
    outlet: str = ""  # where its worker sends
    last_words: str = ""  # of the worker that failed last
    asked_to_stop: bool = False
    broke_off: bool = False  # a camera's worker is gone for good, and did not leave in good order

    @property
    def is_vacant(self) -> bool:
        """Whether a worker is to be started."""
        return self.child is None and not self.done


class Shared:
    """The board and the rings: owned by the supervisor, mapped by its workers, gone with the last of them."""

    def __init__(self, sources: list[SourceConfig], *, frames_at_once: int, queue_frames: int) -> None:
        """`frames_at_once`: how many frames the vision worker may have in its hands."""
        self.slots = frames_at_once + queue_frames + SPARE_SLOTS
        count = len(sources)
        memory = Board.create(workers=2 + count, sources=count)
        self._board_memory: int | None = memory
        self.board = Board(memory, workers=2 + count, sources=count)
        self._rings = [Ring.create(Geometry.of(slots=self.slots, max_pixels=source.max_pixels)) for source in sources]

    @property
    def board_memory(self) -> int:
        """The board's descriptor."""
        assert self._board_memory is not None, "the run has been closed"
        return self._board_memory

    def ring(self, source: int) -> tuple[int, int]:
        """A ring's memory and its eventfd."""
        return self._rings[source]

    def close(self) -> None:
        """Let go of the descriptors; the board stays readable for who has it. Calling it twice does no harm."""
        descriptors = [descriptor for ring in self._rings for descriptor in ring]
        self._rings.clear()
        if self._board_memory is not None:
            descriptors.append(self._board_memory)
            self._board_memory = None
        for descriptor in descriptors:
            os.close(descriptor)
