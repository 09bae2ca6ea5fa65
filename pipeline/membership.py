"""Sources come and go while a pipeline runs, pause and resume; nobody else notices.

All of it happens in the supervisor's thread, a step at a time: nothing here waits. A source that is removed goes
through: its camera worker leaves; the publisher settles what is left of its frames; publisher and vision worker let
go of it and say so; its memory is given up, and its place may be taken by another.
"""

from __future__ import annotations

import time
from typing import Protocol

from pipeline.address import is_live
from pipeline.board import Phase, Role
from pipeline.config import SourceConfig
from pipeline.errors import EveryframeError, UsageError
from pipeline.member import Member
from pipeline.messages import GapReason
from pipeline.roster import Roster
from pipeline.seats import Seat
from pipeline.states import SourceState
from pipeline.status import STATES
from pipeline.workers.messages import Hold, SourceNews, Stop, Withdraw

LEAVE_SECONDS = 1.5  # for a camera worker to hand on what it has, before it is ended
SETTLE_SECONDS = 20.0  # for the vision worker to speak of what it has of a source that left
CHASE_SECONDS = 2.0  # after which what a camera worker left behind is asked for again


class Hands(Protocol):
    """What the supervisor does for this."""

    def retire(self, seat: Seat, *, kill: str = "") -> None:
        """End the worker in a seat for the reason given."""

    def abandon(self, camera: Seat, reason: GapReason, *, lasts_too_long: bool = False) -> None:
        """Have the publisher declare what nobody will speak of any more, or, where that lasts too long, has not yet."""

    def tell(self, news: SourceNews, seat: Seat) -> None:
        """Make known what is new of a source."""

    def complain(self, text: str, *, event: str) -> None:
        """Tell of what went wrong and was outlived."""


class Membership:
    """Who takes part."""

    def __init__(self, roster: Roster, hands: Hands) -> None:
        self._roster, self._hands = roster, hands
        self._waiting: dict[str, SourceConfig] = {}  # for a place, or for the name, which is just being given up

    def add(self, source: SourceConfig) -> None:
        """Let a named source take part. Raises `UsageError` where its name is taken or there is no room."""
        source_id = source.source_id
        present = self._roster.called(source_id)
        if source_id in self._waiting or (present is not None and not present.leaving):
            raise UsageError(f"source {source_id!r} is there already; remove it first, or choose another name")
        staying = sum(not member.leaving for member in self._roster.members.values()) + len(self._waiting)
        if staying >= self._roster.shared.places:
            raise UsageError(
                f"supervisor.max_sources: {staying} sources take part, and no more can; remove one, or start the"
                " pipeline with a higher limit"
            )
        self._waiting[source_id] = source
        self._admit()

    def remove(self, source_id: str) -> None:
        """Have a source end, be accounted for, and be forgotten. Raises `UsageError` where there is none."""
        if self._waiting.pop(source_id, None) is not None:
            return
        member = self._present(source_id)
        member.leaving = True
        member.left_at = member.chased_at = time.monotonic()
        seat = member.seat
        was_done, seat.done = seat.done, True
        if seat.child is not None:
            self._ask_to_leave(seat, Stop())
        elif not was_done:
            seat.broke_off = True
            self._hands.abandon(seat, "shutdown")

    def pause(self, source_id: str) -> None:
        """Have a source give no frames until `resume`. A camera is disconnected from; a recording stays open.

        Raises `UsageError` where there is none, or it has ended.
        """
        member = self._present(source_id)
        seat = member.seat
        if seat.done:
            raise UsageError(f"source {source_id!r} has ended; only one that gives frames can be paused")
        if member.paused:
            return
        if not is_live(member.source.url):
            member.held = True
            if seat.child is not None:
                seat.child.order(Hold(on=True))
            return
        seat.paused = True
        if seat.child is not None:
            self._ask_to_leave(seat, Stop(final=False))
        else:
            self.paused(member)

    def resume(self, source_id: str) -> None:
        """Have a paused source go on. Raises `UsageError` where there is none, or it is not paused."""
        member = self._present(source_id)
        seat = member.seat
        if not member.paused:
            raise UsageError(f"source {source_id!r} is not paused")
        if member.held:
            member.held = False
            if seat.child is not None:
                seat.child.order(Hold(on=False))
            return
        if seat.child is not None:
            self._hands.retire(seat, kill="was still leaving")
        seat.paused, seat.start_at = False, 0.0
        seat.starts = max(0, seat.starts - 1)  # its next worker is no replacement
        self._show(member, SourceState.CONNECTING)

    def paused(self, member: Member) -> None:
        """The worker of a camera that is paused has gone."""
        self._show(member, SourceState.PAUSED)

    def let_go(self, number: int, role: Role) -> None:
        """A worker holds nothing of a source that was withdrawn."""
        self._roster.members[number].held_by.discard(role)

    def vision_ended(self, seat: Seat) -> None:
        """What a vision worker held, it holds no more."""
        for member in self._roster.members_of(seat):
            member.held_by.discard("vision")

    def advance(self) -> None:
        """The next step of whoever leaves or waits to come; to be called often."""
        now = time.monotonic()
        for member in list(self._roster.members.values()):
            seat = member.seat
            if seat.child is not None and seat.leave_by and now > seat.leave_by:
                self._hands.retire(seat, kill="took too long to leave")
            if member.leaving and seat.child is None:
                self._see_off(member, now)
        self._admit()

    def _see_off(self, member: Member, now: float) -> None:
        """A source without a worker is settled, then withdrawn, then gone."""
        if member.withdrawn:
            if not member.held_by:
                self._roster.dismiss(member)
        elif member.cells.publisher.ended:
            self._withdraw(member)
        elif now > member.chased_at + CHASE_SECONDS:
            member.chased_at = now
            lasts_too_long = now > member.left_at + SETTLE_SECONDS
            self._hands.abandon(member.seat, "shutdown", lasts_too_long=lasts_too_long)

    def _withdraw(self, member: Member) -> None:
        member.withdrawn = True
        member.held_by = {"publisher"}  # the next, if there is none now: it tells that the source is gone
        if member.vision.child is not None:
            member.held_by.add("vision")
        for seat in (member.vision, self._roster.publisher):
            if seat.child is not None:
                seat.child.order(Withdraw(member.number))

    def _admit(self) -> None:
        """Let in who waits, as far as there are places, and names are free."""
        for source_id in list(self._waiting):
            if self._roster.shared.has_room and self._roster.called(source_id) is None:
                source = self._waiting.pop(source_id)
                try:
                    self._roster.admit(source)
                except EveryframeError as exc:
                    self._hands.complain(f"{source_id}: could not be added: {exc}", event="source_refused")

    def _ask_to_leave(self, seat: Seat, order: Stop) -> None:
        """A worker that has nothing in its hands yet is ended; another has a moment."""
        assert seat.child is not None
        if seat.cells.phase in (Phase.STARTING, Phase.OPENING):
            self._hands.retire(seat, kill="had not begun")
        else:
            seat.child.order(order)
            seat.leave_by = time.monotonic() + LEAVE_SECONDS

    def _show(self, member: Member, state: SourceState) -> None:
        camera = member.cells.camera
        camera.state, camera.failures, camera.retry_at_ns = STATES.index(state), 0, 0
        self._hands.tell(SourceNews(source=member.number, state=state), member.seat)

    def _present(self, source_id: str) -> Member:
        member = self._roster.called(source_id)
        if member is None or member.leaving:
            names = sorted(m.source.source_id for m in self._roster.members.values() if not m.leaving)
            there = f"; there are {', '.join(names)}" if names else "; there are none"
            raise UsageError(f"no source is called {source_id!r}{there}")
        return member
