"""Keep workers alive: start them, judge them by what they stamp on the board, end them before they are replaced.

The supervisor runs in a thread of the process that started the engine. It touches no frame and waits for no worker: it
sleeps until a report comes, a process ends, or a quarter of a second has passed.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress

from pipeline import errors
from pipeline.address import is_live
from pipeline.board import Phase, mend
from pipeline.child import describe_exit
from pipeline.epochs import EpochStore
from pipeline.errors import ConfigError, EveryframeError
from pipeline.judge import fault_of
from pipeline.messages import GapReason
from pipeline.roster import Roster
from pipeline.seats import Seat
from pipeline.states import SourceState
from pipeline.status import STATES, News
from pipeline.workers.messages import (
    Abandoned,
    Awaited,
    Complaint,
    Epoch,
    EpochWanted,
    Failed,
    Ready,
    Renew,
    Report,
    Reroute,
    SinkCounts,
    SourceNews,
    Stop,
)

TICK_SECONDS = 0.25
MOST_COMPLAINTS = 1_000  # kept of a run that may last for months
# Shares of the time to stop after which cameras, then the vision worker, then the publisher are ended.
STOP_SHARES = {"camera": 0.35, "vision": 0.7, "publisher": 1.0}


class Supervisor:
    """The judgement, and what it has learnt. Its attributes may be read from any thread."""

    def __init__(self, roster: Roster) -> None:
        """Raises `ConfigError` where epochs cannot be kept."""
        self._roster = roster
        persistent = any(not source.lossless for source in roster.sources)
        self._epochs = EpochStore(roster.config.supervisor.state_directory) if persistent else None
        self._offline_epochs = [0] * len(roster.sources)
        self._poll = select.poll()
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._woken, select.POLLIN)
        self._by_descriptor: dict[int, Seat] = {}
        self._latest: dict[int, SourceNews] = {}
        self._stop_asked: float | None = None
        self._kill_asked = False
        self._stopping: float | None = None
        self.news = [News() for _ in roster.sources]
        self.notes: tuple[str, ...] = ()
        self.address = ""
        self.failure: EveryframeError | None = None
        self.source_errors: dict[str, EveryframeError] = {}
        self.complaints: list[str] = []
        self.sink_counts = SinkCounts({}, {})
        self.vision_ready_at = 0.0  # monotonic seconds
        self.publishing = threading.Event()  # the publisher is ready, or never will be
        self.ended = threading.Event()  # every worker has gone

    def stop(self, *, at_once: bool = False) -> None:
        """Ask for the end, from any thread: what is in flight is finished first, unless `at_once`."""
        self._stop_asked = self._stop_asked or time.monotonic()
        self._kill_asked |= at_once
        with suppress(OSError):  # the thread has ended already
            os.eventfd_write(self._woken, 1)

    def run(self) -> None:
        """Supervise until stopped; in the thread that starts the workers, because the kernel ends them with it."""
        try:
            while not self._is_over():
                if self._stopping is None:
                    self._fill_seats()
                self._listen()
                self._judge()
                self._advance_stop()
        except Exception as exc:
            self.failure = self.failure or EveryframeError(f"the supervisor failed: {type(exc).__name__}: {exc}")
            raise
        finally:
            for seat in self._roster.seats:
                if seat.child is not None:
                    seat.child.kill()
            os.close(self._woken)
            self.publishing.set()
            self.ended.set()

    def _is_over(self) -> bool:
        return self._stopping is not None and all(seat.child is None for seat in self._roster.seats)

    # Starting

    def _fill_seats(self) -> None:
        """Start what is due; not more at once than there are cores to import on, the rest on a later tick."""
        starting = sum(seat.child is not None and seat.cells.phase == Phase.STARTING for seat in self._roster.seats)
        room = 2 + (os.cpu_count() or 1) - starting
        for seat in self._roster.seats:
            if room > 0 and seat.is_vacant and time.monotonic() >= seat.start_at:
                self._start(seat)
                room -= 1

    def _start(self, seat: Seat) -> None:
        self._roster.start(seat)
        assert seat.child is not None
        self._by_descriptor[seat.child.fileno()] = seat
        self._poll.register(seat.child, select.POLLIN)
        if seat.role == "publisher":
            for news in self._latest.values():
                seat.child.order(news)

    # Listening

    def _listen(self) -> None:
        for descriptor, _ in self._poll.poll(TICK_SECONDS * 1000):
            if descriptor == self._woken:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._woken)
                continue
            seat = self._by_descriptor.get(descriptor)
            if seat is None or seat.child is None:
                continue
            reports, ended = seat.child.reports()
            for report in reports:
                self._hear(seat, report)
            if ended:
                self._retire(seat)

    def _hear(self, seat: Seat, report: Report) -> None:
        if isinstance(report, EpochWanted):
            self._issue_epoch(seat)
        elif isinstance(report, Ready):
            self._ready(seat, report)
        elif isinstance(report, SourceNews):
            self._tell(report, seat)
        elif isinstance(report, Failed):
            self._failed(seat, report)
        elif isinstance(report, Complaint):
            self._complain(f"{report.about}: {report.message}")
        else:
            self.sink_counts = report

    def _issue_epoch(self, seat: Seat) -> None:
        assert seat.child is not None
        source = self._roster.sources[seat.source]
        try:
            if source.lossless or self._epochs is None:
                self._offline_epochs[seat.source] += 1
                seat.child.order(Epoch(self._offline_epochs[seat.source]))
            else:
                seat.child.order(Epoch(self._epochs.issue(source.source_id)))
        except ConfigError as exc:
            seat.child.order(Epoch(0, error=str(exc)))

    def _ready(self, seat: Seat, report: Ready) -> None:
        """A worker works. After a vision worker or publisher was replaced, every source starts a new epoch."""
        roster = self._roster
        first, seat.ready, seat.was_ready = not seat.was_ready, True, True
        if seat.role == "vision":
            self.notes = report.notes
            self.vision_ready_at = self.vision_ready_at or time.monotonic()
        else:
            self.address = report.address
            roster.bind = report.address or None  # a replacement takes the same port
            self.publishing.set()
            if roster.vision.child is not None and roster.vision.outlet != roster.publisher_inlet:
                roster.vision.outlet = roster.publisher_inlet
                roster.vision.child.order(Reroute(roster.publisher_inlet))
        if not first:
            self._renew(seat)
        for camera in self._roster.cameras:
            if camera.broke_off or (camera.done and not first):
                self._abandon(camera, "worker_restart")

    def _renew(self, replaced: Seat) -> None:
        inlet = self._roster.vision_inlet
        for camera in self._roster.cameras:
            if camera.done:
                continue
            if camera.child is not None and (replaced.role == "publisher" or camera.outlet != inlet):
                camera.outlet = inlet
                camera.child.order(Renew(inlet))

    def _tell(self, news: SourceNews, seat: Seat) -> None:
        """Keep what a camera worker says of its source, and pass it on to the publisher."""
        known = self.news[news.source]
        self.news[news.source] = News(message=news.message, codec=news.codec or known.codec)
        self._latest[news.source] = news
        if news.final:
            seat.done = True
            if news.error:
                source_id = self._roster.sources[news.source].source_id
                self.source_errors[source_id] = error_of(news.error, news.message)
        if self._roster.publisher.child is not None:
            self._roster.publisher.child.order(news)

    def _failed(self, seat: Seat, report: Failed) -> None:
        """A worker gave up. What was never well, or cannot become so, ends the run; else it is replaced."""
        error = error_of(report.error, report.message)
        text = f"{self._roster.name(seat)} failed: {report.message}"
        if report.traceback:
            text = f"{text}\n{report.traceback}"
        seat.last_words = text
        if seat.role != "camera" and (not seat.was_ready or isinstance(error, errors.UsageError | errors.ModelError)):
            self._fail(error if report.error else EveryframeError(text))

    def _fail(self, error: EveryframeError) -> None:
        if self.failure is None:
            self.failure = error
        self.stop()
        self.publishing.set()

    # Judging

    def _judge(self) -> None:
        """End workers past the deadline they set themselves, or suspended. While stopping, other limits hold."""
        if self._stopping is not None:
            return
        for seat in self._roster.seats:
            if seat.child is not None and (fault := fault_of(seat, seat.child, now_ns=time.monotonic_ns())):
                self._retire(seat, kill=fault)

    # Ends

    def _retire(self, seat: Seat, *, kill: str = "") -> None:
        """A worker has ended, or is ended now for the reason given; it is gone before anything else happens."""
        child = seat.child
        assert child is not None
        self._by_descriptor.pop(child.fileno(), None)
        self._poll.unregister(child)
        status = child.kill() if kill else child.reap()
        seat.child, seat.ready = None, False
        cells = self._roster.shared.board.sources
        mend(seat.role, cells if seat.role != "camera" else [cells[seat.source]])
        seat.broke_off = seat.role == "camera" and seat.done and status != 0
        if self._stopping is not None:
            if seat.role == "camera" and status != 0:
                self._abandon(seat, "shutdown")
        elif seat.broke_off:
            self._abandon(seat, "worker_restart")
        elif not seat.done and self.failure is None:
            self._arrange_replacement(seat, kill or describe_exit(status), by_itself=not kill and status >= 0)

    def _arrange_replacement(self, seat: Seat, why: str, *, by_itself: bool) -> None:
        delay = seat.policy.delay_seconds(time.monotonic())
        seat.start_at = time.monotonic() + delay
        text = seat.last_words or f"{self._roster.name(seat)} ended ({why})"
        seat.last_words = ""
        if seat.role != "camera" and not seat.was_ready and (by_itself or delay):
            self._fail(EveryframeError(f"{text} before it worked; --debug shows why"))
            return
        if seat.role == "camera" and not is_live(self._roster.sources[seat.source].url):
            self._give_up(seat, text)
            return
        if delay:
            text += (
                f"; that is {seat.policy.limit} times within {seat.policy.window_seconds:.0f} s, so it is tried again"
                f" in {delay:.0f} s"
            )
        self._complain(text)
        if seat.role == "camera":
            self._abandon(seat, "worker_restart")
            state = SourceState.FAULTED if delay else SourceState.CONNECTING
            self._roster.shared.board.sources[seat.source].camera.state = STATES.index(state)
            self._tell(SourceNews(source=seat.source, state=state, message=text), seat)
        elif seat.role == "vision":
            self._end_leavers()

    def _give_up(self, camera: Seat, text: str) -> None:
        """A file whose worker died is not read again: from its start it would give every frame twice."""
        camera.done = camera.broke_off = True
        state = SourceState.FAULTED
        self._roster.shared.board.sources[camera.source].camera.state = STATES.index(state)
        message = f"{text}; the rest of the file is not analysed"
        self._tell(
            SourceNews(source=camera.source, state=state, message=message, error="SourceError", final=True), camera
        )
        self._abandon(camera, "worker_restart")

    def _complain(self, text: str) -> None:
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(text)

    def _end_leavers(self) -> None:
        """Cameras that ended and wait for a vision worker to take their last frames wait for one that is dead."""
        for camera in self._roster.cameras:
            if camera.done and camera.child is not None:
                self._retire(camera, kill="the vision worker ended")
            elif camera.done:
                self._abandon(camera, "worker_restart")

    def _abandon(self, camera: Seat, reason: GapReason) -> None:
        """Have the publisher declare what nobody will speak of any more."""
        roster = self._roster
        if roster.publisher.child is not None:
            in_order = camera.done and not camera.broke_off
            awaited: Awaited = "nothing" if roster.vision.child is None else "sent" if in_order else "held"
            roster.publisher.child.order(Abandoned(camera.source, reason, final=camera.done, awaited=awaited))

    # Stopping

    def _advance_stop(self) -> None:
        """Cameras stop first, then the vision worker, then the publisher: each finishes what the ones before gave."""
        if self._stop_asked is None:
            return
        if self._stopping is None:
            self._stopping = self._stop_asked
            for camera in self._roster.cameras:
                self._ask_to_stop(camera)
        if self._kill_asked:
            for seat in self._roster.seats:
                if seat.child is not None:
                    self._retire(seat, kill="stopped at once")
            return
        elapsed = time.monotonic() - self._stopping
        limit = self._roster.config.supervisor.stop_seconds
        for seats in (self._roster.cameras, [self._roster.vision], [self._roster.publisher]):
            for seat in seats:
                if seat.child is not None and not seat.asked_to_stop:
                    self._ask_to_stop(seat)
                if seat.child is not None and elapsed > limit * STOP_SHARES[seat.role]:
                    self._retire(seat, kill="took too long to stop")
            if any(seat.child is not None for seat in seats):
                return

    def _ask_to_stop(self, seat: Seat) -> None:
        """A worker that has nothing in its hands yet is ended."""
        seat.asked_to_stop = True
        if seat.child is not None:
            if seat.cells.phase in (Phase.STARTING, Phase.LOADING, Phase.OPENING):
                self._retire(seat, kill="had not begun")
            else:
                seat.child.order(Stop())


def error_of(name: str, message: str) -> EveryframeError:
    """An error as a worker told it; one that is not ours becomes the base of ours."""
    kind = getattr(errors, name, None) if name else None
    if isinstance(kind, type) and issubclass(kind, EveryframeError):
        return kind(message)
    return EveryframeError(message)
