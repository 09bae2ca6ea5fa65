"""The sources a worker serves: each with its place on the board and its ring, for as long as it takes part."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.board import Board, SourceCells
from pipeline.config import SourceConfig
from pipeline.links.shared_memory import Geometry, Ring
from pipeline.workers.messages import SourceGiven


@dataclass(frozen=True, slots=True, eq=False)
class Occupant:
    """A source in its place. `number` is its name in messages."""

    number: int
    source: SourceConfig
    cells: SourceCells
    ring: Ring
    standard_input: int | None = None  # its descriptor, if the source reads it and this is its camera worker
    passed: str = ""  # name of a folder's last segment that an earlier worker took
    on_cpu: bool = False  # its camera worker decodes, whatever else could


class Occupants(Mapping[int, Occupant]):
    """Sources by number. A number that is not there is of a source that has gone: its messages mean nothing."""

    def __init__(self, occupants: Iterable[Occupant] = ()) -> None:
        self._by_number: dict[int, Occupant] = {}
        self._numbers: dict[str, int] = {}
        for occupant in occupants:
            self.admit(occupant)

    def admit(self, occupant: Occupant) -> None:
        """Serve a source from now on."""
        self._by_number[occupant.number] = occupant
        self._numbers[occupant.source.source_id] = occupant.number

    def dismiss(self, number: int) -> None:
        """Let go of a source that is served, and of its ring."""
        occupant = self._by_number.pop(number)
        del self._numbers[occupant.source.source_id]
        occupant.ring.close()
        os.close(occupant.ring.freed)

    def number_of(self, source_id: str) -> int:
        """The number of a source that is served."""
        return self._numbers[source_id]

    def __getitem__(self, number: int) -> Occupant:
        return self._by_number[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_number)

    def __len__(self) -> int:
        return len(self._by_number)


def settle_in(
    given: SourceGiven, memory: int, freed: int, standard_input: int | None = None, *, board: Board, slots: int
) -> Occupant:
    """The source that was given with these descriptors, which become ours. `slots` has every ring."""
    ring = Ring(memory, freed, Geometry.of(slots=slots, max_pixels=given.source.max_pixels))
    os.close(memory)  # the mapping stays
    passed = os.fsdecode(given.passed)
    cells = board.sources[given.place]
    return Occupant(given.number, given.source, cells, ring, standard_input, passed, given.on_cpu)
