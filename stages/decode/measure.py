"""How often frames and keyframes come: arithmetic on what a probe sees go by."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

NS = 1_000_000_000
MOST_KEPT = 10_000  # steps and intervals; what comes later replaces what came first
_SAME = 0.5  # a step that differs from the usual one by more than this share of it is another step
_MANY = 0.1  # this share of other steps makes the rate a varying one


@dataclass(slots=True)
class Rate:
    """Frames a second, from times in nanoseconds on any one clock."""

    steps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    last_ns: int | None = None

    def saw(self, time_ns: int, *, jumped: bool = False) -> None:
        """A frame; the step to one after a jump counts for nothing."""
        if self.last_ns is not None and not jumped and time_ns > self.last_ns:
            self.steps_ns.append(time_ns - self.last_ns)
        self.last_ns = time_ns

    @property
    def per_second(self) -> float | None:
        """The mean rate; None before the second frame."""
        return len(self.steps_ns) * NS / sum(self.steps_ns) if self.steps_ns else None

    @property
    def varies(self) -> bool:
        """Whether many steps are unlike the usual one."""
        if len(self.steps_ns) < 4:
            return False
        usual = statistics.median(self.steps_ns)
        others = sum(abs(step - usual) > _SAME * usual for step in self.steps_ns)
        return others > _MANY * len(self.steps_ns)


@dataclass(slots=True)
class Keyframes:
    """The distance between keyframes, in frames, from packets in the order they came."""

    count: int = 0
    intervals: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    since: int = 0  # packets since the last one, itself included

    def saw(self, *, is_keyframe: bool) -> None:
        """A packet of one frame."""
        if is_keyframe:
            if self.count:
                self.intervals.append(self.since)
            self.count += 1
            self.since = 0
        self.since += 1

    @property
    def usual(self) -> int | None:
        """The median interval; None before the second keyframe."""
        return statistics.median_low(self.intervals) if self.intervals else None

    @property
    def longest(self) -> int | None:
        """The longest interval, the one still going on included; None before the first keyframe."""
        return max([*self.intervals, self.since]) if self.count else None
