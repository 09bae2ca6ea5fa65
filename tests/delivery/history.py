"""What a reader was given of one source, checked: each frame applied once, in order, and every loss declared.

Pure bookkeeping on identities; it knows neither a broker nor the code that is being checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

RESULT, GAP = 1, 2


@dataclass(frozen=True, slots=True)
class Told:
    """A result (of one frame) or a gap, by its identity."""

    epoch: int
    first_seq: int
    last_seq: int
    is_gap: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """A source's history in figures, and what was wrong with it."""

    acknowledged: int  # frames that the pipeline had settled, or that the reader has anyway
    applied: int  # frames with a result
    declared: int  # frames inside gaps, and without a result
    repeated: int  # deliveries of what had been applied before
    violations: tuple[str, ...]


class History:
    """One reader's view of one source.

    It applies by identity, as a reader does that is told things at least once: what it has is passed over, and a result
    supersedes a gap.
    """

    def __init__(self, source_id: str) -> None:
        self.source_id = source_id
        self.repeated = 0
        self.violations: list[str] = []
        self._told: set[Told] = set()
        self._fates: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._newest = (0, -1)

    def take(self, told: Told) -> None:
        """Apply one item in the order in which it came."""
        if told in self._told:
            self.repeated += 1
            return
        self._told.add(told)
        if (told.epoch, told.last_seq) < self._newest:
            self._violated(f"{told} came behind frame {self._newest}")
        self._newest = max(self._newest, (told.epoch, told.last_seq))
        fates = self._fates[told.epoch]
        for seq in range(told.first_seq, told.last_seq + 1):
            if not (told.is_gap and seq in fates):
                fates[seq] = GAP if told.is_gap else RESULT

    def verdict(self, settled: Mapping[int, int]) -> Verdict:
        """Whether each frame has its fate.

        Args:
            settled: frames by epoch of which the pipeline is known to have settled so many, the first ones.
        """
        for epoch in sorted({*self._fates, *settled}):
            self._check_epoch(epoch, settled.get(epoch, 0))
        fates = [fate for epoch in self._fates.values() for fate in epoch.values()]
        missing = sum(max(0, count - len(self._fates.get(epoch, {}))) for epoch, count in settled.items())
        return Verdict(
            acknowledged=len(fates) + missing,
            applied=fates.count(RESULT),
            declared=fates.count(GAP),
            repeated=self.repeated,
            violations=tuple(self.violations),
        )

    def _check_epoch(self, epoch: int, settled: int) -> None:
        fates = self._fates.get(epoch, {})
        frames = max(settled, max(fates, default=-1) + 1)
        holes = list(runs(seq for seq in range(frames) if seq not in fates))
        for first, last in holes[:10]:
            self._violated(f"frames {first} to {last} of epoch {epoch} are neither applied nor declared lost")

    def _violated(self, what: str) -> None:
        self.violations.append(f"{self.source_id}: {what}")


def runs(numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Growing numbers as first and last of each stretch without a hole."""
    first = last = None
    for number in numbers:
        if last is not None and number != last + 1:
            yield first or 0, last
            first = None
        first, last = number if first is None else first, number
    if last is not None:
        yield first or 0, last
