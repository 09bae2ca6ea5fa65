"""Worker processes that look at pieces of recordings: started, given work, listened to, and replaced when they die."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from pipeline.child import describe_exit, environment
from pipeline.config import PipelineConfig
from pipeline.errors import WorkerError, error_called
from pipeline.footage.orders import Analyse, Export, Finished, Looked, Ready, Refused, Report, Start

WAIT_SECONDS = 0.2  # for reports, before whoever asked looks at other things
GIVEN_UP = 3  # deaths while loading in a row: it is not the recording's fault
TRIES = 2  # of an order: a process may be ended for reasons of its own
SILENT_SECONDS = 600.0  # that a worker with an order may tell nothing: decoders can hang
_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a worker told of the order it was given."""

    order: Analyse | Export
    report: Looked | Finished | Refused


class Crew:
    """As many workers as were asked for, each with one order at a time."""

    def __init__(self, config: PipelineConfig, count: int) -> None:
        """Processes are started when there is work for them."""
        self._config, self._count = config, count
        self._selector = selectors.DefaultSelector()
        self._members: list[_Member] = []
        self._deaths = 0  # while loading, in a row
        self._failed: Counter[str] = Counter()  # orders whose workers died, by what they make
        self.notes: tuple[str, ...] = ()

    @property
    def free(self) -> int:
        """Orders that can be given now."""
        return self._count - sum(member.order is not None for member in self._members)

    @property
    def busy(self) -> bool:
        """Whether an order is in work."""
        return any(member.order is not None for member in self._members)

    def give(self, order: Analyse | Export) -> None:
        """Have a free worker do it."""
        member = next((one for one in self._members if one.order is None), None)
        if member is None:
            member = _Member(self._config)
            self._members.append(member)
            self._selector.register(member.fileno(), selectors.EVENT_READ, member)
        member.give(order)

    def listen(self) -> Iterator[Heard]:
        """What was told, after a short wait. Raises the error that no worker can go on after."""
        for one in self._members:
            one.end_if_silent()
        for key, _ in self._selector.select(WAIT_SECONDS):
            member: _Member = key.data
            reports, ended = member.reports()
            for report in reports:
                yield from self._take(member, report)
            if ended:
                yield from self._bury(member)

    def _take(self, member: _Member, report: Report) -> Iterator[Heard]:
        if isinstance(report, Ready):
            self.notes, self._deaths = report.notes, 0
            return
        if isinstance(report, Refused) and report.ends:
            raise error_called(report.kind, report.reason)
        order = member.order
        assert order is not None
        if not isinstance(report, Looked):
            member.order = None
        yield Heard(order, report)

    def _bury(self, member: _Member) -> Iterator[Heard]:
        """A worker has died: whatever it had in hand is told of, and the next order gets another."""
        self._selector.unregister(member.fileno())
        self._members.remove(member)
        status, order = member.end(), member.order
        if order is None:
            return
        if not member.is_ready and isinstance(order, Analyse):
            self._deaths += 1
            if self._deaths >= GIVEN_UP:
                raise WorkerError(f"the networks cannot be loaded: a worker ended by {describe_exit(status)}")
            self.give(order)
            return
        made = order.target if isinstance(order, Analyse) else order.folder
        self._failed[made] += 1
        if self._failed[made] < TRIES:
            self.give(order)
            return
        reason = f"{order.recording}: the process that worked on it ended by {describe_exit(status)}, {TRIES} times"
        yield Heard(order, Refused(reason, "WorkerError"))

    def close(self) -> None:
        """End them, whatever they do; what they have in hand is lost."""
        for member in self._members:
            member.end()
        self._members.clear()
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class _Member:
    """One process."""

    def __init__(self, config: PipelineConfig) -> None:
        self.order: Analyse | Export | None = None
        self.is_ready = False
        self._heard = time.monotonic()
        self._decoder = msgspec.json.Decoder(Report)
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline.footage.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment(single_threaded=True),
            process_group=0,  # a terminal's Ctrl-C is for us alone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._reports = self._process.stdin, self._process.stdout
        self._send(Start(config))

    def fileno(self) -> int:
        return self._reports.fileno()

    def give(self, order: Analyse | Export) -> None:
        self.order, self._heard = order, time.monotonic()
        self._send(order)

    def reports(self) -> tuple[list[Report], bool]:
        """What has come since, and whether nothing more will."""
        data = self._reports.read(1 << 16) or b""
        self._heard = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = [self._decoder.decode(line) for line in lines]
        self.is_ready = self.is_ready or any(isinstance(one, Ready) for one in found)
        return found, not data

    def end_if_silent(self) -> None:
        """Kill it where it has worked on an order without a word for too long."""
        if self.order is not None and time.monotonic() - self._heard > SILENT_SECONDS:
            self._process.kill()

    def end(self) -> int:
        self._process.kill()  # does nothing where it has ended
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # stuck in the kernel, which ends it when it can
            status = -signal.SIGKILL
        self._orders.close()
        self._reports.close()
        return status

    def _send(self, order: Start | Analyse | Export) -> None:
        with suppress(BrokenPipeError):  # it has died, which is seen where it is listened to
            line = memoryview(msgspec.json.encode(order) + b"\n")
            while line:
                line = line[self._orders.write(line) or 0 :]
