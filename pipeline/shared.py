"""The memory that all workers of a run share: the board, and a ring for each source."""

from __future__ import annotations

import os
from collections import deque

from pipeline.board import Board
from pipeline.config import SourceConfig
from pipeline.errors import EveryframeError
from pipeline.links.shared_memory import Geometry, Ring

SPARE_SLOTS = 3  # one being written, one announced, one so that nobody waits


class Shared:
    """The board with its places, and the rings: owned by the supervisor, mapped by its workers, gone with the last.

    A place is taken with a ring and given back with it. It is given out again as late as can be.
    """

    def __init__(self, *, places: int, frames_at_once: int, queue_frames: int, visions: int = 1) -> None:
        """`frames_at_once`: how many frames a vision worker may have in its hands; `visions`: of how many workers."""
        self.slots = frames_at_once + queue_frames + SPARE_SLOTS
        self.places = places
        workers = visions + 1 + places
        memory = Board.create(workers=workers, sources=places)
        self._board_memory: int | None = memory
        self.board = Board(memory, workers=workers, sources=places)
        self._rings: dict[int, tuple[int, int]] = {}
        self._free = deque(range(places))

    @property
    def board_memory(self) -> int:
        """The board's descriptor."""
        assert self._board_memory is not None, "the run has been closed"
        return self._board_memory

    @property
    def has_room(self) -> bool:
        """Whether there is a free place."""
        return bool(self._free)

    def take(self, source: SourceConfig) -> int:
        """A place for a source, its cells all zero, with a new ring. Raises `EveryframeError` where there is none."""
        if not self._free:
            raise EveryframeError(f"supervisor.max_sources: all {self.places} places are taken")
        try:
            ring = Ring.create(Geometry.of(slots=self.slots, max_pixels=source.max_pixels))
        except OSError as exc:
            raise EveryframeError(f"{source.source_id}: no memory for its frames: {exc.strerror}") from exc
        place = self._free.popleft()
        self._rings[place] = ring
        self.board.clear(place)
        return place

    def ring(self, place: int) -> tuple[int, int]:
        """A ring's memory and its eventfd."""
        return self._rings[place]

    def give_back(self, place: int) -> None:
        """Nobody refers to this place any more."""
        _close(self._rings.pop(place))
        self._free.append(place)

    def close(self) -> None:
        """Let go of the descriptors; the board stays readable for who has it. Calling it twice does no harm."""
        for ring in self._rings.values():
            _close(ring)
        self._rings.clear()
        if self._board_memory is not None:
            os.close(self._board_memory)
            self._board_memory = None


def _close(ring: tuple[int, int]) -> None:
    for descriptor in ring:
        os.close(descriptor)
