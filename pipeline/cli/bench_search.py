"""How many cameras fit: which number to try next, and whether a step passed. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DECODED_SHARE: Final = 0.95  # of the frames sent, which the slowest camera must have decoded
DROPPED_SHARE: Final = 0.01  # of frames without a model, which may be lost
SENDER_CORES: Final = 0.9  # from here on a sending process, not the pipeline, may be the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So many cameras for a while. Rates are frames a second a camera."""

    cameras: int
    seconds: float
    decoded_fps: float  # the mean of all cameras
    least_decoded_fps: float  # of the slowest
    analysed_fps: float
    least_analysed_fps: float
    dropped_share: float  # of the frames decoded
    p50_ms: float  # from arrival to result, of the camera that has it worst
    p95_ms: float
    cores: float  # busy with the pipeline, all its processes
    sender_cores: float  # busy with being cameras, which is not the pipeline's work
    complaints: tuple[str, ...] = ()
    failure: str | None = None  # why it does not count; None: it does


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step must keep to."""

    sent_fps: float
    p95_ms: float
    analysed_fps: float  # each camera at least
    lossless: bool  # nothing is analysed, so nothing need be dropped

    def failure(self, step: Step) -> str | None:
        """Why a step does not count; None where it does."""
        if step.failure is not None:
            return step.failure
        if step.least_decoded_fps < DECODED_SHARE * self.sent_fps:
            return f"a camera had {step.least_decoded_fps:.1f} of {self.sent_fps:g} frames/s decoded"
        if step.p95_ms > self.p95_ms:
            return f"p95 latency {step.p95_ms:.0f} ms"
        if self.lossless and step.dropped_share > DROPPED_SHARE:
            return f"{step.dropped_share:.1%} of the frames dropped"
        if not self.lossless and step.least_analysed_fps < self.analysed_fps:
            return f"a camera had {step.least_analysed_fps:.1f} frames/s analysed"
        return None


class Search:
    """The largest number that passes: doubled until one fails, then halved in between."""

    def __init__(self, *, most: int) -> None:
        """`most`: the largest number to try."""
        self.passed = 0
        self.failed: int | None = None
        self._most = most

    @property
    def next(self) -> int | None:
        """What to try next; None once it is known."""
        if self.failed is not None:
            return (self.passed + self.failed) // 2 if self.failed - self.passed > 1 else None
        return min(self._most, max(1, 2 * self.passed)) if self.passed < self._most else None

    def tried(self, number: int, *, passed: bool) -> None:
        """Note how it went."""
        if passed:
            self.passed = max(self.passed, number)
        else:
            self.failed = number
