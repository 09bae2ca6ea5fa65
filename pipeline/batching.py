"""Gathering frames of several sources into batches: by deadline, fairly, and never by letting a live source wait long.

Pure: time is an argument, frames are whatever carries an identity. A source's queue keeps its frames in order, and
between them the notices (gaps, ends of epochs) that must stay at their place.

Fairness is stride scheduling (Waldspurger and Weihl, 1995): each source has a *pass* that grows by ``1 / priority``
with each frame taken, and the lowest pass goes next; a source that was idle starts from where the others are, so that
it can neither claim a backlog of turns nor be starved.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[FrameT]):
    """A frame in a queue."""

    source_id: str
    frame: FrameT
    since_ns: int


@dataclass(slots=True, eq=False)
class _Queue(Generic[FrameT]):
    lossless: bool
    stride: float
    entries: deque[Waiting[FrameT] | Notice] = field(default_factory=deque)
    frames: int = 0
    passed: float = 0.0

    @property
    def oldest(self) -> Waiting[FrameT] | None:
        return next((entry for entry in self.entries if isinstance(entry, Waiting)), None)

    def pop_through_first_frame(self) -> list[Waiting[FrameT] | Notice]:
        taken: list[Waiting[FrameT] | Notice] = []
        while self.entries:
            taken.append(self.entries.popleft())
            if isinstance(taken[-1], Waiting):
                self.frames -= 1
                break
        return taken

    def overtake(self) -> Waiting[FrameT]:
        """The oldest frame gives way; a notice of that takes its place."""
        *notices, oldest = self.pop_through_first_frame()
        assert isinstance(oldest, Waiting)
        seq = oldest.frame.seq
        lost = Gap(oldest.source_id, oldest.frame.epoch, seq, seq, "backlog")
        before = notices.pop() if notices else None
        kept = _joined(before, lost)
        self.entries.extendleft(reversed([*notices, *kept]))
        return oldest


class Batcher(Generic[FrameT]):
    """Queues of sources, and the next batch from them."""

    def __init__(self, *, max_batch: int, max_wait_ns: int, queue_frames: int) -> None:
        """`queue_frames` bounds a live source's queue; a lossless one is bounded by whoever feeds it."""
        self._max_batch = max_batch
        self._max_wait_ns = max_wait_ns
        self._queue_frames = queue_frames
        self._queues: dict[str, _Queue[FrameT]] = {}
        self._now_at = 0.0  # pass of the frame taken last

    def add_source(self, source_id: str, *, lossless: bool, priority: int = 1) -> None:
        """Accept frames of a source."""
        self._queues[source_id] = _Queue(lossless=lossless, stride=1.0 / priority)

    @property
    def waiting(self) -> int:
        """Frames in all queues."""
        return sum(queue.frames for queue in self._queues.values())

    def held(self, source_id: str) -> int:
        """Frames of a source that are in its queue, notices counted for the frames they speak of."""
        return sum(1 if isinstance(e, Waiting) else frames_of(e) for e in self._queues[source_id].entries)

    def push(self, source_id: str, frame: FrameT, *, now_ns: int) -> FrameT | None:
        """Queue a frame; the one that had to give way to it, if any."""
        queue = self._queues[source_id]
        overtaken = None
        if not queue.lossless and queue.frames >= self._queue_frames:
            overtaken = queue.overtake().frame
        if queue.frames == 0:
            queue.passed = max(queue.passed, self._now_at)
        queue.entries.append(Waiting(source_id, frame, now_ns))
        queue.frames += 1
        return overtaken

    def note(self, notice: Notice) -> None:
        """Queue a notice behind the source's frames."""
        entries = self._queues[notice.source_id].entries
        before = entries.pop() if entries and isinstance(entries[-1], Gap) else None
        entries.extend(_joined(before, notice))

    def due_ns(self) -> int | None:
        """When the frames that wait have waited long enough; None without any."""
        since = [oldest.since_ns for queue in self._queues.values() if queue.frames and (oldest := queue.oldest)]
        return min(since) + self._max_wait_ns if since else None

    def take(self, *, now_ns: int) -> list[Waiting[FrameT] | Notice]:
        """The next batch if it is full or due, each source's notices before the frame they precede; else empty."""
        count = self.waiting
        due_ns = self.due_ns() if 0 < count < self._max_batch else None
        if count == 0 or (due_ns is not None and now_ns < due_ns):
            return []
        return [entry for _ in range(min(count, self._max_batch)) for entry in self._take_one()]

    def take_notices(self, source_id: str) -> Sequence[Notice]:
        """The notices of a source that no frame in the queue stands before."""
        entries = self._queues[source_id].entries
        taken: list[Notice] = []
        while entries and not isinstance(entry := entries[0], Waiting):
            taken.append(entry)
            entries.popleft()
        return taken

    def _take_one(self) -> list[Waiting[FrameT] | Notice]:
        queue = min((queue for queue in self._queues.values() if queue.frames), key=lambda queue: queue.passed)
        self._now_at = queue.passed
        queue.passed += queue.stride
        return queue.pop_through_first_frame()


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
