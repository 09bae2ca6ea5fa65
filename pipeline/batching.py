"""Gathering frames of several sources into batches: by deadline, fairly, and never by letting a live source wait long.

Pure: time is an argument, frames are whatever carries an identity. A source's queue keeps its frames in order, and
between them the notices (gaps, ends of epochs) that must stay at their place.

*When*: a batch goes when it is full, or when its oldest frame has waited `max_wait`. While the network has a batch no
other can start, so frames are let go by as much earlier as batches took lately. Nobody is waited for by name: a source
that is silent holds no batch.

*Whose*: fairness is stride scheduling (Waldspurger and Weihl, 1995): each source has a *pass* that grows by
``1 / priority`` with each frame taken, and the lowest pass goes next; a source that was idle starts from where the
others are, so that it can neither claim a backlog of turns nor be starved.

*Which*: of a source with a target rate only so many frames a second are analysed; the others go along, at their
place, for the tracker to predict. A live frame that waited longer than the staleness budget is not analysed any more.

What each of these costs does not depend on how many sources there are.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pipeline.messages import Gap, GapReason


class Identified(Protocol):
    """A frame, or a descriptor of one."""

    @property
    def epoch(self) -> int:
        """The source's session."""

    @property
    def seq(self) -> int:
        """The number within the epoch."""

    @property
    def capture_time_ns(self) -> int:
        """When it was captured."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch will bring nothing more. `reason` is for frames of it that nobody has spoken for."""

    source_id: str
    epoch: int
    captured: int
    reason: GapReason
    final: bool  # the source has ended for good


Notice = Gap | EpochEnd
FrameT = TypeVar("FrameT", bound=Identified)


@dataclass(slots=True, eq=False)
class Waiting(Generic[FrameT]):
    """A frame in a queue."""

    source_id: str
    frame: FrameT
    since_ns: int
    analysed: bool = True  # false: skipped as planned
    gone: bool = False  # it is in the queue no more


class Cadence:
    """Which frames of a source are analysed so that it is `frames_a_second` of them on average, by their own times."""

    def __init__(self, frames_a_second: float) -> None:
        self._interval_ns = 1e9 / frames_a_second
        self._due_ns: float | None = None

    def wants(self, capture_time_ns: int) -> bool:
        """Whether a frame is analysed; asked once of each, in order."""
        ahead = None if self._due_ns is None else capture_time_ns - self._due_ns
        if ahead is None or not -self._interval_ns <= ahead < self._interval_ns:
            self._due_ns = capture_time_ns + self._interval_ns  # the first, one after a pause, or of another clock
            return True
        if ahead < 0:
            return False
        assert self._due_ns is not None
        self._due_ns += self._interval_ns
        return True


@dataclass(slots=True, eq=False)
class _Queue(Generic[FrameT]):
    source_id: str
    lossless: bool
    stride: float
    cadence: Cadence | None
    entries: deque[Waiting[FrameT] | Notice] = field(default_factory=deque)
    frames: int = 0  # to be analysed
    skips: int = 0
    passed: float = 0.0
    has_turn: bool = False

    def pop_through_first_frame(self) -> list[Waiting[FrameT] | Notice]:
        """The first frame to be analysed, and all before it."""
        taken: list[Waiting[FrameT] | Notice] = []
        while self.entries:
            entry = self.entries.popleft()
            taken.append(entry)
            if isinstance(entry, Waiting):
                if entry.analysed:
                    entry.gone = True
                    self.frames -= 1
                    break
                self.skips -= 1
        return taken

    def pop_skips(self) -> list[Waiting[FrameT] | Notice]:
        """What no frame to be analysed stands before, up to the last frame."""
        taken: list[Waiting[FrameT] | Notice] = []
        while self.skips and not (isinstance(entry := self.entries[0], Waiting) and entry.analysed):
            taken.append(self.entries.popleft())
            self.skips -= isinstance(entry, Waiting)
        return taken

    def lose_oldest(self, reason: GapReason) -> Waiting[FrameT]:
        """The oldest frame to be analysed gives way; a notice of that takes its place."""
        *before, oldest = self.pop_through_first_frame()
        assert isinstance(oldest, Waiting)
        seq = oldest.frame.seq
        lost = Gap(oldest.source_id, oldest.frame.epoch, seq, seq, reason)
        last = before.pop() if before else None
        kept = _joined(last, lost)
        if self.entries and isinstance(after := self.entries[0], Gap):
            self.entries.popleft()
            kept = [*kept[:-1], *_joined(kept[-1], after)]
        self.entries.extendleft(reversed([*before, *kept]))
        self.skips += sum(isinstance(entry, Waiting) for entry in (*before, *kept))
        return oldest


class Batcher(Generic[FrameT]):
    """Queues of sources, and the next batch from them."""

    def __init__(self, *, max_batch: int, max_wait_ns: int, queue_frames: int, stale_ns: int = 0) -> None:
        """`queue_frames` bounds a live source's queue; a lossless one is bounded by whoever feeds it.

        `stale_ns`: what a live frame may wait before it is given up; 0 for any time.
        """
        self._max_batch = max_batch
        self._max_wait_ns = max_wait_ns
        self._queue_frames = queue_frames
        self._stale_ns = stale_ns
        self._queues: dict[str, _Queue[FrameT]] = {}
        self._frames = self._skips = 0
        self._now_at = 0.0  # pass of the frame taken last
        self._turns: list[tuple[float, int, _Queue[FrameT]]] = []  # a heap; an entry for each queue with frames
        self._turn = 0
        # Frames to be analysed in the order they came; those that are gone stay until they are at the front.
        self._live: deque[Waiting[FrameT]] = deque()
        self._lossless: deque[Waiting[FrameT]] = deque()
        self._skipping: dict[str, _Queue[FrameT]] = {}  # queues of skipped frames alone
        self._noticed: dict[str, _Queue[FrameT]] = {}  # queues that begin with a notice
        self._busy_ns = 0.0

    def add_source(self, source_id: str, *, lossless: bool, priority: int = 1, target_fps: float = 0.0) -> None:
        """Accept frames of a source. `target_fps`: how many a second are analysed; 0 for all."""
        cadence = Cadence(target_fps) if target_fps > 0 else None
        self._queues[source_id] = _Queue(source_id, lossless, 1.0 / priority, cadence)

    def remove_source(self, source_id: str) -> None:
        """Accept none any more, and forget what waits."""
        queue = self._queues.pop(source_id)
        self._frames -= queue.frames
        self._skips -= queue.skips
        for entry in queue.entries:
            if isinstance(entry, Waiting):
                entry.gone = True
        queue.frames = queue.skips = 0
        self._skipping.pop(source_id, None)
        self._noticed.pop(source_id, None)

    @property
    def waiting(self) -> int:
        """Frames in all queues."""
        return self._frames + self._skips

    @property
    def noticed(self) -> list[str]:
        """Sources of which `take_notices` has some."""
        return list(self._noticed)

    def is_empty(self, source_id: str) -> bool:
        """Whether nothing of a source waits, no notice either."""
        return not self._queues[source_id].entries

    def held(self, source_id: str) -> int:
        """Frames of a source that are in its queue, notices counted for the frames they speak of."""
        return sum(1 if isinstance(e, Waiting) else frames_of(e) for e in self._queues[source_id].entries)

    def push(self, source_id: str, frame: FrameT, *, now_ns: int) -> FrameT | None:
        """Queue a frame; the one that had to give way to it, if any."""
        queue = self._queues[source_id]
        if queue.cadence is not None and not queue.cadence.wants(frame.capture_time_ns):
            queue.entries.append(Waiting(source_id, frame, now_ns, analysed=False))
            queue.skips += 1
            self._skips += 1
            self._look(queue)
            return None
        overtaken = None
        if not queue.lossless and queue.frames >= self._queue_frames:
            overtaken = queue.lose_oldest("backlog").frame
            self._frames -= 1
        if queue.frames == 0:
            queue.passed = max(queue.passed, self._now_at)
        waiting = Waiting(source_id, frame, now_ns)
        queue.entries.append(waiting)
        (self._lossless if queue.lossless else self._live).append(waiting)
        queue.frames += 1
        self._frames += 1
        if not queue.has_turn:
            self._give_turn(queue)
        if len(queue.entries) > 1:
            self._look(queue)
        return overtaken

    def note(self, notice: Notice) -> None:
        """Queue a notice behind the source's frames."""
        queue = self._queues[notice.source_id]
        entries = queue.entries
        before = entries.pop() if entries and isinstance(entries[-1], Gap) else None
        entries.extend(_joined(before, notice))
        self._look(queue)

    def took(self, seconds: float) -> None:
        """Learn how long the network had a batch: frames that come meanwhile wait for it."""
        self._busy_ns = max(seconds * 1e9, 0.9 * self._busy_ns)

    def due_ns(self) -> int | None:
        """When the frames that wait have waited long enough; None without any."""
        if self._skipping:
            return 0
        fronts = [front.since_ns for queue in (self._live, self._lossless) if (front := _front(queue)) is not None]
        return min(fronts) + max(0, round(self._max_wait_ns - self._busy_ns)) if fronts else None

    def expire(self, *, now_ns: int) -> list[FrameT]:
        """Give up live frames that have waited too long: each becomes a gap at its place."""
        expired: list[FrameT] = []
        while self._stale_ns and (oldest := _front(self._live)) and now_ns - oldest.since_ns > self._stale_ns:
            queue = self._queues[oldest.source_id]
            expired.append(queue.lose_oldest("late").frame)
            self._frames -= 1
            self._look(queue)
        return expired

    def take(self, *, now_ns: int) -> list[Waiting[FrameT] | Notice]:
        """The next batch if it is full or due, each source's notices before the frame they precede; else empty.

        Frames that are skipped as planned count for nothing, and wait for nobody but earlier frames of their source.
        """
        taken: list[Waiting[FrameT] | Notice] = []
        for queue in list(self._skipping.values()):
            taken += self._take_skips(queue)
        due_ns = self.due_ns() if 0 < self._frames < self._max_batch else None
        if self._frames == 0 or (due_ns is not None and now_ns < due_ns):
            return taken
        for _ in range(min(self._frames, self._max_batch)):
            taken += self._take_one()
        return taken

    def take_notices(self, source_id: str) -> Sequence[Notice]:
        """The notices of a source that no frame in the queue stands before."""
        queue = self._noticed.get(source_id)
        taken: list[Notice] = []
        while queue is not None and queue.entries and not isinstance(entry := queue.entries[0], Waiting):
            taken.append(entry)
            queue.entries.popleft()
        self._noticed.pop(source_id, None)
        return taken

    def _take_one(self) -> list[Waiting[FrameT] | Notice]:
        while True:
            passed, _, queue = heapq.heappop(self._turns)
            queue.has_turn = False
            if queue.frames and passed == queue.passed:
                break
            if queue.frames:  # it was idle since, and starts from where the others are
                self._give_turn(queue)
        self._now_at = queue.passed
        queue.passed += queue.stride
        taken = queue.pop_through_first_frame()
        self._frames -= 1
        self._skips -= sum(isinstance(entry, Waiting) for entry in taken) - 1
        if queue.frames:
            self._give_turn(queue)
        if queue.skips:
            taken += self._take_skips(queue)
        self._look(queue)
        return taken

    def _take_skips(self, queue: _Queue[FrameT]) -> list[Waiting[FrameT] | Notice]:
        before = queue.skips
        taken = queue.pop_skips()
        self._skips -= before - queue.skips
        self._look(queue)
        return taken

    def _give_turn(self, queue: _Queue[FrameT]) -> None:
        self._turn += 1
        queue.has_turn = True
        heapq.heappush(self._turns, (queue.passed, self._turn, queue))

    def _look(self, queue: _Queue[FrameT]) -> None:
        """Keep in mind what a queue begins with."""
        if queue.skips and not queue.frames:
            self._skipping[queue.source_id] = queue
        else:
            self._skipping.pop(queue.source_id, None)
        if queue.entries and not isinstance(queue.entries[0], Waiting):
            self._noticed[queue.source_id] = queue
        else:
            self._noticed.pop(queue.source_id, None)


def _front(queue: deque[Waiting[FrameT]]) -> Waiting[FrameT] | None:
    """The first that is not gone."""
    while queue and queue[0].gone:
        queue.popleft()
    return queue[0] if queue else None


def frames_of(notice: Notice) -> int:
    """Frames a notice settles."""
    return notice.count if isinstance(notice, Gap) else 0


def _joined(before: Waiting[FrameT] | Notice | None, notice: Notice) -> list[Waiting[FrameT] | Notice]:
    """Two neighbouring gaps as one where they touch and agree, else both in order."""
    if before is None:
        return [notice]
    if (
        isinstance(before, Gap)
        and isinstance(notice, Gap)
        and (before.epoch, before.reason, before.last_seq + 1) == (notice.epoch, notice.reason, notice.first_seq)
    ):
        return [Gap(before.source_id, before.epoch, before.first_seq, notice.last_seq, before.reason)]
    return [before, notice]
