"""Durations and times as people write them, and how long the pieces are that time is cut into."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pipeline.errors import UsageError

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ROUND_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
MOST_PIECES: Final = 60  # where nobody said how long they are to be
LEAST_NS: Final = 1_000_000
_CLOCK: Final = re.compile(r"\d{1,5}(\.\d+)?|\d{1,5}(:[0-5]\d){1,2}(\.\d+)?")
_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Moment(NamedTuple):
    """A time: of day, or from where a recording begins."""

    ns: int
    from_begin: bool
    text: str

    def of(self, begins_ns: int) -> int:
        """Capture time, for a source whose first result has `begins_ns`."""
        return begins_ns + self.ns if self.from_begin else self.ns


def duration_ns(text: str, *, option: str) -> int:
    """``90s``, ``1m``, ``1h30m``, ``0.5s`` in nanoseconds. Raises `UsageError`."""
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{option}: {text!r} is no duration; 30s, 1m, 1h30m or 1d would be")
    return round(sum(float(number) * UNITS[unit] for number, unit in parts) * 1e9)


def every_of(text: str) -> int:
    """How long a piece is to be. Raises `UsageError`."""
    length_ns = duration_ns(text, option="--every")
    if length_ns < LEAST_NS:
        raise UsageError(f"--every: {text} is too short; 0.001s or more is needed")
    return length_ns


def chosen_every(seconds: float) -> int:
    """A round length that cuts so long a time into no more than sixty pieces."""
    fitting = (each for each in ROUND_SECONDS if seconds <= each * MOST_PIECES)
    return next(fitting, ROUND_SECONDS[-1]) * 10**9


def moment_of(text: str, *, option: str) -> Moment:
    """``2026-11-26T10:30`` (UTC where no zone is named), or from where each recording begins: ``1:30``, ``90s``.

    Raises `UsageError`.
    """
    if _CLOCK.fullmatch(text):
        seconds = sum(float(part) * 60.0**place for place, part in enumerate(reversed(text.split(":"))))
        return Moment(round(seconds * 1e9), True, text)
    if _PARTS.match(text):
        return Moment(duration_ns(text, option=option), True, text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is no time; 2026-11-26T10:30 or 2026-11-26T10:30:00+01:00 would be, or 1:30, 90s, "
            "1h30m from where each recording begins"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return Moment((since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000, False, text)
