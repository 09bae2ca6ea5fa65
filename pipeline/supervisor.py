"""Keep workers alive: start them, judge them by what they stamp on the board, end them before they are replaced.

The supervisor runs in a thread of the process that started the engine. It touches no frame and waits for no worker: it
sleeps until a report comes, a process ends, or a quarter of a second has passed.
"""

from __future__ import annotations

import os
import select
import threading
import time

from pipeline import errors
from pipeline.address import is_live, is_recording
from pipeline.audit import Audit
from pipeline.board import Phase, changing, mend
from pipeline.child import describe_exit
from pipeline.epochs import Epochs
from pipeline.errands import Errands
from pipeline.errors import ConfigError, EveryframeError, error_called
from pipeline.events import Event, EventLog, Level
from pipeline.judge import fault_of
from pipeline.membership import Membership
from pipeline.messages import GapReason
from pipeline.retry import Backoff, opening_seconds
from pipeline.roster import Roster
from pipeline.seats import Seat
from pipeline.states import SourceState
from pipeline.status import STATES, News
from pipeline.stopping import Stopping
from pipeline.workers.messages import (
    Abandoned,
    Awaited,
    Complaint,
    Epoch,
    EpochWanted,
    Failed,
    Hold,
    Noted,
    Ready,
    Renew,
    Report,
    Reroute,
    SegmentTaken,
    SinkCounts,
    SourceNews,
    Withdrawn,
)

TICK_SECONDS = 0.25
MOST_COMPLAINTS = 1_000  # kept of a run that may last for months
MOST_NOTES = 200
MOST_FAILED_STARTS = 3  # in a row of vision workers on a device, before it counts as lost where there are others
MOST_CRASHES = 2  # of the vision worker in the middle of a source's packet, before that is no chance
CRASH_WINDOW_SECONDS = 600.0


class Supervisor:
    """The judgement, and what it has learnt. Its attributes may be read from any thread."""

    def __init__(self, roster: Roster) -> None:
        """Raises `ConfigError` where epochs cannot be kept."""
        self._roster = roster
        self._epochs = Epochs(roster.config.supervisor.state_directory)
        if not all(member.source.offline for member in roster.members.values()):
            self._epochs.open()
        self._poll = select.poll()
        self.errands = Errands()
        self._poll.register(self.errands, select.POLLIN)
        self.membership = Membership(roster, self)
        self._stopping = Stopping(roster, retire=lambda seat, why: self.retire(seat, kill=why))
        self._by_descriptor: dict[int, Seat] = {}
        self._audit = Audit(self.complain)
        self.notes: tuple[str, ...] = (roster.placement,) if roster.placement else ()
        self.address = ""
        self.failure: EveryframeError | None = None
        self.complaints: list[str] = []
        self.events = EventLog()
        self.judged_at = 0.0  # monotonic seconds at which it last went round
        self.sink_counts = SinkCounts({}, {})
        self.vision_ready_at = 0.0  # monotonic seconds
        self.publishing = threading.Event()  # the publisher is ready, or never will be
        self.ended = threading.Event()  # every worker has gone

    def stop(self, *, at_once: bool = False) -> None:
        """Ask for the end, from any thread: what is in flight is finished first, unless `at_once`."""
        self._stopping.ask(at_once=at_once)
        self.errands.wake()

    @property
    def is_stopping(self) -> bool:
        """Whether its end was asked for."""
        return self._stopping.was_asked

    def run(self) -> None:
        """Supervise until stopped; in the thread that starts the workers, because the kernel ends them with it."""
        self.judged_at = time.monotonic()
        try:
            while not self._stopping.is_over:
                if not self._stopping.has_begun:
                    self._fill_seats()
                self._listen()
                if not self._stopping.has_begun:
                    self._judge()
                    self.membership.advance()
                self._audit.look(self._roster.cells_by_source())
                self._stopping.advance()
                self.judged_at = time.monotonic()
        except Exception as exc:
            self.failure = self.failure or EveryframeError(f"the supervisor failed: {type(exc).__name__}: {exc}")
            raise
        finally:
            for seat in self._roster.seats:
                if seat.child is not None:
                    seat.child.kill()
            self.errands.close()
            self.publishing.set()
            self.ended.set()

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
            for member in self._roster.members.values():
                if member.latest is not None:
                    seat.child.order(member.latest)
        elif seat.role == "camera" and self._roster.members[seat.source].held:
            seat.child.order(Hold(on=True))

    # Listening

    def _listen(self) -> None:
        for descriptor, _ in self._poll.poll(TICK_SECONDS * 1000):
            if descriptor == self.errands.fileno():
                self.errands.run()
                continue
            seat = self._by_descriptor.get(descriptor)
            if seat is None or seat.child is None:
                continue
            reports, ended = seat.child.reports()
            for report in reports:
                self._hear(seat, report)
            if ended:
                self.retire(seat)
        for seat in self._roster.seats:
            if seat.child is not None:
                seat.child.flush()

    def _hear(self, seat: Seat, report: Report) -> None:
        if isinstance(report, EpochWanted):
            self._issue_epoch(seat, report)
        elif isinstance(report, Ready):
            self._ready(seat, report)
        elif isinstance(report, Noted):
            self._note(report.text)
        elif isinstance(report, SourceNews):
            self.tell(report, seat)
        elif isinstance(report, Failed):
            self._failed(seat, report)
        elif isinstance(report, Withdrawn):
            self.membership.let_go(report.source, seat.role)
        elif isinstance(report, SegmentTaken):
            self._roster.members[seat.source].passed = report.name
        elif isinstance(report, Complaint):
            self.complain(f"{report.about}: {report.message}")
        else:
            self.sink_counts = report

    def _note(self, text: str) -> None:
        """Keep a note of the vision worker's; a replacement's are those of the first, but for what it found anew."""
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes = (*self.notes, text)

    def _issue_epoch(self, seat: Seat, wanted: EpochWanted) -> None:
        assert seat.child is not None
        number = seat.source if seat.role == "camera" else wanted.source
        member = self._roster.members.get(number)
        if member is None:
            seat.child.order(Epoch(0, error="the source has gone", source=wanted.source))
            return
        try:
            seat.child.order(Epoch(self._epochs.issue(member.source), source=wanted.source))
        except ConfigError as exc:
            seat.child.order(Epoch(0, error=str(exc), source=wanted.source))

    def _ready(self, seat: Seat, report: Ready) -> None:
        """A worker works. After a vision worker or publisher was replaced, every source starts a new epoch."""
        roster = self._roster
        first, seat.ready, seat.was_ready, seat.failed_starts = not seat.was_ready, True, True, 0
        details = {"worker": seat.role, "starts": seat.starts}
        self.events.add(Event("worker_ready", f"{roster.name(seat)} is ready", details=details))
        if seat.role == "vision":
            for note in report.notes:
                self._note(note)
            self.vision_ready_at = self.vision_ready_at or time.monotonic()
        else:
            self.address = report.address
            roster.bind = report.address or None  # a replacement takes the same port
            self.publishing.set()
            for vision in roster.visions:
                if vision.child is not None and vision.outlet != seat.inlet:
                    vision.outlet = seat.inlet
                    vision.child.order(Reroute(seat.inlet))
        self._renew(seat, everybody=seat.role == "publisher" and not first)
        for camera in self._cameras_behind(seat):
            if camera.broke_off or ((camera.done or camera.paused) and not first):
                self.abandon(camera, "worker_restart")

    def _renew(self, seat: Seat, *, everybody: bool = False) -> None:
        """Cameras that speak to a worker that is dead speak to the one in the seat; or all begin a new epoch."""
        for camera in self._cameras_behind(seat):
            inlet = self._roster.members[camera.source].vision.inlet
            if camera.child is not None and not camera.done and (everybody or camera.outlet != inlet):
                camera.outlet = inlet
                camera.child.order(Renew(inlet))

    def _cameras_behind(self, seat: Seat) -> list[Seat]:
        """Those whose frames the worker in a seat gets, by way of another or not."""
        if seat.role == "camera":
            return [seat]
        if seat.role == "publisher":
            return self._roster.cameras
        return [member.seat for member in self._roster.members_of(seat)]

    def tell(self, news: SourceNews, seat: Seat) -> None:
        """Keep what a camera worker says of its source, and pass it on to the publisher."""
        member = self._roster.members[news.source]
        member.news = News(message=news.message, codec=news.codec or member.news.codec)
        member.latest = news
        if news.final:
            seat.done = True
            if news.error:
                member.error = error_called(news.error, news.message)
        if self._roster.publisher.child is not None:
            self._roster.publisher.child.order(news)

    def _failed(self, seat: Seat, report: Failed) -> None:
        """A worker gave up. What was never well, or cannot become so, ends the run; else it is replaced."""
        error = error_called(report.error, report.message)
        text = f"{self._roster.name(seat)} failed: {report.message}"
        if report.traceback:
            text = f"{text}\n{report.traceback}"
        seat.last_words = text
        hopeless = isinstance(error, errors.UsageError | errors.ModelError) and not self._has_stand_in(seat)
        if seat.role != "camera" and (not seat.was_ready or hopeless):
            self._fail(error if report.error else EveryframeError(text))

    def _fail(self, error: EveryframeError) -> None:
        if self.failure is None:
            self.failure = error
        self.stop()
        self.publishing.set()

    # Judging

    def _judge(self) -> None:
        """End workers past the deadline they set themselves, or suspended. While stopping, other limits hold."""
        for seat in self._roster.seats:
            if seat.child is not None and (fault := fault_of(seat, seat.child, now_ns=time.monotonic_ns())):
                self.retire(seat, kill=fault)

    # Ends

    def retire(self, seat: Seat, *, kill: str = "") -> None:
        """A worker has ended, or is ended now for the reason given; it is gone before anything else happens."""
        child = seat.child
        assert child is not None
        self._by_descriptor.pop(child.fileno(), None)
        self._poll.unregister(child)
        status = child.kill() if kill else child.reap()
        seat.failed_starts += not seat.ready
        seat.child, seat.ready = None, False
        members = self._roster.members
        if seat.role == "vision" and not self._stopping.has_begun:
            self._suspect(seat)
        mend(seat.role, [members[camera.source].cells for camera in self._cameras_behind(seat)])
        seat.broke_off = seat.role == "camera" and seat.done and status != 0
        if seat.role == "vision":
            self.membership.vision_ended(seat)
        if self._stopping.has_begun:
            if seat.role == "camera" and status != 0:
                self.abandon(seat, "shutdown")
        elif seat.role == "camera" and (seat.paused or members[seat.source].leaving):
            if status != 0:
                self.abandon(seat, "shutdown")
            if seat.paused:
                self.membership.paused(members[seat.source])
        elif seat.broke_off:
            self.abandon(seat, "worker_restart")
        elif seat.done or self.failure is not None:
            return
        elif kill and seat.is_opening and is_live(members[seat.source].source.url):
            self._did_not_open(seat)
        else:
            self._arrange_replacement(seat, kill or describe_exit(status), by_itself=not kill and status >= 0)

    def _suspect(self, vision: Seat) -> None:
        """A vision worker ended: whose packet alone it was decoding, and not for the first time of late, is decoded
        on the CPU from now on.
        """
        suspects = [one for one in self._roster.members_of(vision) if one.cells.decode.decoding]
        if len(suspects) != 1:
            return
        (member,) = suspects
        now = time.monotonic()
        member.crashes = [at for at in member.crashes if now - at < CRASH_WINDOW_SECONDS] + [now]
        if len(member.crashes) < MOST_CRASHES or member.on_cpu:
            return
        member.on_cpu = True
        self.complain(
            f"{member.source.source_id}: the vision worker ended {len(member.crashes)} times while it decoded this"
            " source, which is decoded on the CPU from now on"
        )
        if member.seat.child is not None:
            self.retire(member.seat, kill="it is to decode its source itself")

    def _arrange_replacement(self, seat: Seat, why: str, *, by_itself: bool) -> None:
        delay = seat.policy.delay_seconds(time.monotonic())
        seat.start_at = time.monotonic() + delay
        text = seat.last_words or f"{self._roster.name(seat)} ended ({why})"
        seat.last_words = ""
        if seat.role != "camera" and not seat.was_ready and (by_itself or delay):
            self._fail(EveryframeError(f"{text} before it worked; --debug shows why"))
            return
        if seat.role == "camera" and is_recording(self._roster.members[seat.source].source.url):
            self._give_up(seat, text)
            return
        if seat.role == "vision" and seat.failed_starts >= MOST_FAILED_STARTS and self._has_stand_in(seat):
            self._hand_over(seat, text)
            return
        if delay:
            text += (
                f"; that is {seat.policy.limit} times within {seat.policy.window_seconds:.0f} s, so it is tried again"
                f" in {delay:.0f} s"
            )
        self.complain(text, event="worker_ended", seat=seat)
        if seat.role == "camera":
            self.abandon(seat, "worker_restart")
            state = SourceState.FAULTED if delay else SourceState.CONNECTING
            self._roster.members[seat.source].cells.camera.state = STATES.index(state)
            self.tell(SourceNews(source=seat.source, state=state, message=text), seat)
        elif seat.role == "vision":
            self._end_leavers(seat)

    def _has_stand_in(self, seat: Seat) -> bool:
        """Whether another vision worker could look at the frames of this one's sources."""
        others = [vision for vision in self._roster.visions if vision is not seat]
        return seat.role == "vision" and any(vision.was_ready and not vision.done for vision in others)

    def _hand_over(self, lost: Seat, text: str) -> None:
        """A device is lost for good: the others get its sources, which go on in new epochs."""
        lost.done = True
        members = self._roster.members_of(lost)
        names = ", ".join(member.source.source_id for member in members) or "it had none"
        self.complain(
            f"{text}; that is {lost.failed_starts} times in a row before it worked, so {lost.label} is given up, and"
            f" its sources go to the others: {names}",
            event="device_lost",
            seat=lost,
        )
        self._end_leavers(lost)
        for member in members:
            if not member.withdrawn:
                member.vision = self._roster.least_loaded()
                self._roster.give(member.vision, member)
            if member.seat.paused:
                self.abandon(member.seat, "worker_restart")
        for vision in self._roster.visions:
            if vision.ready:
                self._renew(vision)
        self._note(self._roster.placement)

    def _did_not_open(self, camera: Seat) -> None:
        """A connection failed that only the end of its worker could end; another worker makes the next try."""
        member = self._roster.members[camera.source]
        cells = member.cells.camera
        backoff = Backoff.of(self._roster.config.supervisor, failures=cells.failures)
        delay = backoff.delay_seconds(SourceState.FAULTED)
        camera.start_at = time.monotonic() + delay
        with changing(cells):
            cells.state = STATES.index(SourceState.FAULTED)
            cells.reconnects += 1
            cells.failures = backoff.failures
            cells.retry_at_ns = round(camera.start_at * 1e9)
        self.abandon(camera, "worker_restart")
        message = (
            f"{member.source.source_id}: did not open within {opening_seconds(member.source.open_timeout_seconds):g} s;"
            " the host's name may not resolve"
        )
        self.tell(SourceNews(source=camera.source, state=SourceState.FAULTED, message=message), camera)

    def _give_up(self, camera: Seat, text: str) -> None:
        """A file whose worker died is not read again: from its start it would give every frame twice."""
        camera.done = camera.broke_off = True
        state = SourceState.FAULTED
        self._roster.members[camera.source].cells.camera.state = STATES.index(state)
        message = f"{text}; the rest of the file is not analysed"
        self.tell(
            SourceNews(source=camera.source, state=state, message=message, error="SourceError", final=True), camera
        )
        self.abandon(camera, "worker_restart")

    def complain(self, text: str, *, event: str = "complaint", seat: Seat | None = None) -> None:
        """Tell of what went wrong and was outlived."""
        source_id = self._roster.source_id(seat) if seat is not None else ""
        details = {} if seat is None else {"worker": seat.role, "starts": seat.starts}
        self.events.add(Event(event, text, Level.WARNING, source_id, details))
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(text)

    def _end_leavers(self, vision: Seat) -> None:
        """Cameras that ended and wait for a vision worker to take their last frames wait for one that is dead."""
        for camera in self._cameras_behind(vision):
            if camera.done and camera.child is not None:
                self.retire(camera, kill="the vision worker ended")
            elif camera.done:
                self.abandon(camera, "worker_restart")

    def abandon(self, camera: Seat, reason: GapReason, *, lasts_too_long: bool = False) -> None:
        """Have the publisher declare what nobody will speak of any more."""
        roster = self._roster
        if roster.publisher.child is not None:
            in_order = camera.done and not camera.broke_off
            awaited: Awaited = "sent" if in_order else "held"
            vision = roster.members[camera.source].vision
            if lasts_too_long or vision.child is None or camera.outlet != vision.inlet:
                awaited = "nothing"  # the vision worker that it spoke to is dead
            newest = roster.members[camera.source].cells.newest_epoch
            roster.publisher.child.order(Abandoned(camera.source, newest, reason, final=camera.done, awaited=awaited))
