"""The segments of a folder that a recorder writes: which there are, in which order, and which are complete."""

from __future__ import annotations

import heapq
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config import SourceConfig, check_opened
from pipeline.config.video_names import Order, is_video, order_of
from pipeline.errors import SourceNotFound, SourceUnreachable
from pipeline.stage import Taken
from stages.decode.faults import named

MOST_AT_ONCE: Final = 1_000  # names kept of those that wait; the others are looked up when it is their turn
LOOK_AGAIN: Final = 10  # every so many looks a folder is listed even if its time stamp says that nothing changed


@dataclass(slots=True)
class _Look:
    """A segment as it was when it was last looked at."""

    name: str
    size: int
    changed_ns: int
    since: float  # monotonic seconds since when it has been so


class Segments:
    """Gives each segment of a folder once, in order of names, when it is complete; the rule stands in README.md.

    Memory: the names of those taken, which is what tells that none is read twice, and `MOST_AT_ONCE` of those to come.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: SourceConfig,
        taken: Taken,
        files_root: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`monotonic` and `wall` are clocks in seconds."""
        self._folder, self._source, self._taken, self._files_root = folder, source, taken, files_root
        self._monotonic, self._wall = monotonic, wall
        self._passed = order_of(taken.passed) if taken.passed else None
        self._last: Order | None = None  # of all that are there
        self._waiting: deque[str] = deque()
        self._more = False  # besides those that wait
        self._head: _Look | None = None
        self._listed_ns = -1  # time stamp of the folder when it was listed
        self._idle_looks = 0

    def next(self) -> Path | None:
        """The next segment, which counts as taken from now on; None where none is complete.

        Raises `SourceNotFound`, `SourceUnreachable`, `AddressError` where the folder cannot be looked into.
        """
        self._look()
        while self._waiting:
            name = self._waiting[0]
            complete = self._is_complete(name)
            if complete is False:
                return None
            self._waiting.popleft()
            if complete:
                self._taken.names.add(name)
                self._taken.last = max(self._taken.last, name, key=order_of)
                return self._folder / name
        return None

    def _look(self) -> None:
        """List the folder where that may tell something new."""
        self._idle_looks += not self._waiting
        try:
            changed_ns = self._folder.stat().st_mtime_ns
        except (OSError, ValueError):
            changed_ns = -1  # listing it tells what is wrong
        exhausted = self._more and not self._waiting
        if changed_ns == -1 or changed_ns != self._listed_ns or exhausted or self._idle_looks >= LOOK_AGAIN:
            self._list()
            self._listed_ns, self._idle_looks = changed_ns, 0

    def _list(self) -> None:
        who = named(self._source)
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceNotFound(f"{who} is no folder that is there") from None
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
            reason = getattr(exc, "strerror", None) or exc
            raise SourceUnreachable(f"{who} cannot be looked into: {reason}") from None
        try:
            if self._files_root is not None:
                who = self._source.source_id or self._source.shown
                check_opened(descriptor, self._files_root, who=who, shown=self._folder)
            self._waiting = deque(name for _, name in heapq.nsmallest(MOST_AT_ONCE, self._new(descriptor)))
            self._more = len(self._waiting) == MOST_AT_ONCE
        except OSError as exc:
            raise SourceUnreachable(f"{who} cannot be looked into: {exc.strerror}") from None
        finally:
            os.close(descriptor)

    def _new(self, descriptor: int) -> Iterator[Order]:
        """The segments that are there and were not taken."""
        names, still = self._taken.names, set[str]()
        self._last, count = None, 0
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if not is_video(entry.name):
                    continue
                count += 1
                order = order_of(entry.name)
                if self._last is None or order > self._last:
                    self._last = order
                if entry.name in names:
                    still.add(entry.name)
                elif self._passed is None or order > self._passed:
                    yield order
        if len(names) > 2 * count + MOST_AT_ONCE:  # not at once: a file that is away for a moment is not a new one
            names.intersection_update(still)

    def _is_complete(self, name: str) -> bool | None:
        """Whether a segment was written to its end; None where it is no file, or gone."""
        try:
            status = os.stat(self._folder / name)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        now, look = self._monotonic(), self._head
        if look is None or (look.name, look.size, look.changed_ns) != (name, status.st_size, status.st_mtime_ns):
            look = self._head = _Look(name, status.st_size, status.st_mtime_ns, now)
        has_later = self._last is not None and self._last > order_of(name)
        enough = self._source.poll_seconds if has_later else self._source.settle_seconds
        # Old by its time stamp will do too, so that what was there before us need not be watched one by one.
        return now - look.since >= enough or self._wall() - status.st_mtime_ns / 1e9 >= self._source.settle_seconds
