"""Having a source looked at by a process of its own, which is ended when a phase takes longer than it may."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pipeline import errors
from pipeline.child import describe_exit
from pipeline.cli.probe_messages import MOST_BYTES, Done, Job, Opening, Told, Watching
from pipeline.config import SourceConfig
from pipeline.errors import (
    EveryframeError,
    NoDecodableFrames,
    SourceError,
    SourceUnreachable,
    SourceUnsupported,
    UsageError,
)
from pipeline.messages.findings import Findings
from pipeline.stage import Access

Phase = Literal["starting", "opening", "first frame", "watching"]

STARTING_SECONDS: Final = 30.0  # to load FFmpeg, on a machine that is busy with something else
OPENING_SLACK_SECONDS: Final = 0.7  # beyond its own deadline, for it to say itself what went wrong
READING_SLACK_SECONDS: Final = 2.0
STALL_SECONDS: Final = 2.0  # as in `pipeline.status`: without a frame for so long, and for several frames' time
STALL_FRAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: what was found before the end, and the error that was the end, if one was."""

    findings: Findings | None
    error: SourceError | None


@dataclass(slots=True)
class Progress:
    """Where a probe is; phases have deadlines on the monotonic clock."""

    source: SourceConfig
    seconds: float
    phase: Phase
    since: float
    findings: Findings | None = None
    last_frame_at: float = 0.0

    @property
    def limit_seconds(self) -> float:
        """How long the phase may take."""
        return {
            "starting": STARTING_SECONDS,
            "opening": self.source.open_timeout_seconds + OPENING_SLACK_SECONDS,
            "first frame": self.source.read_timeout_seconds + READING_SLACK_SECONDS,
            "watching": self.seconds + READING_SLACK_SECONDS,
        }[self.phase]

    def take(self, told: Opening | Watching, now: float) -> None:
        """Note what the child told."""
        if isinstance(told, Opening):
            self._enter("opening", now)
            return
        if self.findings is None:
            self._enter("first frame", now)
        before = self.findings.frames if self.findings is not None else 0
        self.findings = told.findings
        if self.findings.frames > before:
            self.last_frame_at = now
            if self.phase != "watching":
                self._enter("watching", now)

    def overdue(self, now: float) -> SourceError | None:
        """What it means that the phase has used up its time; None where nothing is wrong with the source."""
        shown = self.source.shown
        if self.phase == "starting":
            return SourceUnreachable(f"{shown} was not looked at: the process to do it did not start in time")
        if self.phase == "opening":
            return SourceUnreachable(f"{shown} did not answer within {self.source.open_timeout_seconds:g} s")
        if self.phase == "first frame":
            waited = now - self.since
            return NoDecodableFrames(f"{shown} opened, but gave no frame in {waited:.1f} s; it may send no keyframe")
        return self.stalled(now)

    def stalled(self, now: float) -> SourceError | None:
        """The silence at the end, where it is one and not the pace of the source."""
        assert self.findings is not None
        if not self.findings.live:
            return None  # it is this machine that is slow, which the verdict tells from the time a frame takes
        rate = self.findings.measured_rate
        silent = now - self.last_frame_at
        if silent <= max(STALL_SECONDS, STALL_FRAMES / rate if rate else 0.0):
            return None
        return SourceUnreachable(
            f"{self.source.shown} sent no picture in the last {silent:.1f} s, after {self.findings.frames} frames"
        )

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now


def run_probe(source: SourceConfig, *, seconds: float, access: Access, show: Callable[[Progress], None]) -> Outcome:
    """Look at a source for `seconds` after its first frame; `show` is called as it goes.

    It ends in bounded time whatever the source does, and the process with it, also where this raises: `UsageError` for
    an address that cannot be used, `EveryframeError` for a fault of ours, `KeyboardInterrupt`.
    """
    progress = Progress(source, seconds, "starting", time.monotonic())
    with _child(Job(source, seconds, access.files_root)) as (process, channel):
        while True:
            show(progress)
            told = _hear(channel, progress.since + progress.limit_seconds - time.monotonic())
            now = time.monotonic()
            if told is None:
                return Outcome(progress.findings, progress.overdue(now))
            if told == "gone":
                status = describe_exit(process.wait())
                error = SourceUnsupported(f"{source.shown} took down the process that read it ({status})")
                return Outcome(progress.findings, error)
            if isinstance(told, Done):
                return Outcome(progress.findings, _error_of(told))
            progress.take(told, now)


def _hear(channel: socket.socket, timeout_seconds: float) -> Told | Literal["gone"] | None:
    """The child's next message; None where none came in time."""
    if not select.select([channel], [], [], max(0.0, timeout_seconds))[0]:
        return None
    try:
        data = channel.recv(MOST_BYTES)
    except ConnectionResetError:  # it ended before it had read what it was told
        data = b""
    return msgspec.json.decode(data, type=Told) if data else "gone"


def _error_of(done: Done) -> SourceError | None:
    """The error that ended a probe. Raises it where it is not the source's."""
    if done.error is None:
        return None
    kind = getattr(errors, done.error, None)
    if isinstance(kind, type) and issubclass(kind, SourceError):
        return kind(done.message)
    if isinstance(kind, type) and issubclass(kind, UsageError):
        raise kind(done.message)
    raise EveryframeError(f"the probe failed: {done.message}; please report this")


@contextmanager
def _child(job: Job) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The process and the socket to it; it is ended in every case."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    with ours:
        with theirs:
            process = subprocess.Popen(
                # -P: the folder we happen to be started in is no place to import from.
                [sys.executable, "-P", "-m", "pipeline.cli.probe_child", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                process_group=0,  # so that Ctrl-C reaches us alone, who end it
            )
        try:
            with suppress(BrokenPipeError):  # it has ended already, of which we hear when we read
                ours.send(msgspec.json.encode(job))
            yield process, ours
        finally:
            process.kill()
            process.wait()
