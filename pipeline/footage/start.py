"""When a recording began, as its name says it: recorders put it there, and containers often do not know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import UsageError
from pipeline.footage.listing import Recording

FOLDERS = 4  # of a path's last parts that may tell, as in 2026-11-26/10/gate/30.15.mp4
_DATE = r"(?P<year>19[89]\d|20\d\d)[-_.]?(?P<month>[01]\d)[-_.]?(?P<day>[0-3]\d)"
_TIME = r"(?P<hour>[012]\d)[-_.:h]?(?P<minute>[0-5]\d)[-_.:m]?(?P<second>[0-5]\d)"
_WHOLE = re.compile(rf"(?<!\d){_DATE}[T_. -]*{_TIME}(?:[.,]\d+)?(?P<zulu>Z)?(?!\d)")
_DAY = re.compile(rf"(?<!\d){_DATE}(?!\d)")
_PAIR = re.compile(r"(?<!\d)\d\d(?!\d)")
_SIX = re.compile(rf"(?<!\d){_TIME}(?!\d)")
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_EPOCH = re.compile(r"(?<!\d)1\d{9}(?!\d)")  # seconds, 2001 to 2033


def began(path: Path, zone: tzinfo) -> datetime | None:
    """What the name says, its folders' names where its own does not; times are of `zone` unless they end with Z.

    Known are a date and a time in one name (`20261126_103015`, `2026-11-26T10-30-15Z`), the date in a folder's name and
    the time in parts below it (`2026-11-26/10/gate/30.15.mp4`, `2026-11-26/103015.mp4`), and seconds since 1970.
    """
    return next(_found(path, zone), None)


def with_starts(recordings: Sequence[Recording], *, start: str, zone: tzinfo) -> list[Recording]:
    """The recordings with the time that each began at. `start`: ``name``, ``container``, or a time for a single one.

    Where a name says nothing, its container is asked. Raises `UsageError`.
    """
    if start == "container":
        return list(recordings)
    if start == "name":
        moments = [began(recording.path, zone) for recording in recordings]
        return [
            recording if moment is None else replace(recording, began=moment.isoformat())
            for recording, moment in zip(recordings, moments, strict=True)
        ]
    if len(recordings) != 1:
        raise UsageError(f"--start: {start!r} cannot be when {len(recordings)} recordings began; name or container is")
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise UsageError(f"--start: {start!r} is no time; name, container, or as 2026-11-26T10:30:15") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return [replace(recordings[0], began=moment.isoformat())]


def zone_of(name: str) -> tzinfo:
    """A time zone by its name, such as `Europe/Zurich`. Raises `UsageError`."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise UsageError(f"--zone: {name!r} is no time zone that this machine knows; UTC or as Europe/Zurich") from exc


def _found(path: Path, zone: tzinfo) -> Iterator[datetime]:
    for match in _WHOLE.finditer(path.stem):
        yield from _moment({**match.groupdict()}, UTC if match["zulu"] else zone)
    parts = [*path.parent.parts[-FOLDERS:], path.stem]
    for i in reversed(range(len(parts) - 1)):
        day = _DAY.search(parts[i])
        if day is None:
            continue
        below = [parts[i][day.end() :], *parts[i + 1 :]]
        pairs = [pair for part in below for pair in _PAIR.findall(part)]
        if len(pairs) == 3:
            yield from _moment(day.groupdict() | dict(zip(("hour", "minute", "second"), pairs, strict=True)), zone)
        for match in _SIX.finditer(path.stem):
            yield from _moment(day.groupdict() | match.groupdict(), zone)
    for match in _EPOCH.finditer(path.stem):
        yield datetime.fromtimestamp(int(match[0]), UTC)


def _moment(values: dict[str, str | None], zone: tzinfo) -> Iterator[datetime]:
    """None where there is no such moment, as the 31st of February is."""
    year, month, day, hour, minute, second = (int(values[name] or 0) for name in _PARTS)
    try:
        yield datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return
