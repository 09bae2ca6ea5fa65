"""How frames come into the vision worker: from all cameras, into queues, each accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from pipeline.batching import Batcher, Notice, Waiting
from pipeline.links.link import Link
from pipeline.messages import Gap
from pipeline.workers.messages import Descriptor, Ended, FromCamera, Lost, decode_from_camera, notice_of
from pipeline.workers.occupants import Occupant

# A frame that was so long on its way came while this worker was loading or stalled. Where nothing else comes, one in
# that time is taken all the same: a machine that is always behind shall not be blind.
LATE_NS = 1_000_000_000

Entry = Waiting[Descriptor] | Notice


class Inbound:
    """The receiving end of the link from the cameras, and the queues behind it."""

    def __init__(
        self,
        link: Link,
        batcher: Batcher[Descriptor],
        *,
        occupants: Mapping[int, Occupant],
        catch_up: Callable[[], None] = lambda: None,
        also: Link | None = None,
    ) -> None:
        """`catch_up` reads orders: a source may have been given whose first frame was faster.

        `also`: the link from those who decode in this process.
        """
        self._links, self._batcher = [link] if also is None else [link, also], batcher
        self._occupants, self._catch_up = occupants, catch_up
        self._accepted_ns: dict[int, int] = {}  # when a frame of each was queued last
        for number in occupants:
            self.admit(number)

    def admit(self, number: int) -> None:
        """Take frames of a source from now on."""
        source = self._occupants[number].source
        self._accepted_ns[number] = time.monotonic_ns()
        self._batcher.add_source(
            source.source_id, lossless=source.lossless, priority=source.priority, target_fps=source.target_fps
        )

    def dismiss(self, number: int) -> None:
        """Take none any more."""
        self._batcher.remove_source(self._occupants[number].source.source_id)
        del self._accepted_ns[number]

    def receive_all(self) -> None:
        """Queue everything that has come."""
        for link in self._links:
            while (parts := link.receive()) is not None:
                self._receive(parts[0])

    def _receive(self, part: bytes) -> None:
        try:
            messages = decode_from_camera(part)
        except msgspec.DecodeError:
            return  # only processes of ours get through to here; an ended one may have sent half a message
        for message in messages:
            if message.source not in self._occupants:
                self._catch_up()
            occupant = self._occupants.get(message.source)
            if occupant is not None:
                self._accept(message, occupant)

    @property
    def is_empty(self) -> bool:
        """Whether all that the cameras said they sent has come."""
        rows = (row for occupant in self._occupants.values() for row in occupant.cells.open_rows)
        return all(row.vision_received >= row.camera_sent for row in rows)

    def _accept(self, message: FromCamera, occupant: Occupant) -> None:
        cells = occupant.cells
        row = cells.row(message.epoch)
        if row is None:  # the epoch is over: nothing of it is wanted any more
            if isinstance(message, Descriptor):
                occupant.ring.release(message.taken)
            return
        cells.vision_took(row, spoken_of(message))
        if isinstance(message, Descriptor):
            self._queue(message, occupant, time.monotonic_ns())
        else:
            self._batcher.note(notice_of(message, occupant.source.source_id))

    def _queue(self, frame: Descriptor, occupant: Occupant, now_ns: int) -> None:
        """Queue a frame, or let it go: one of a live source that comes late, or the one that gives way to it."""
        source = occupant.source
        accepted_ns = self._accepted_ns[frame.source]
        if now_ns - frame.arrival_ns > LATE_NS and now_ns - accepted_ns < LATE_NS and not source.lossless:
            gone: Descriptor | None = frame
            self._batcher.note(Gap(source.source_id, frame.epoch, frame.seq, frame.seq, "late"))
        else:
            self._accepted_ns[frame.source] = now_ns
            gone = self._batcher.push(source.source_id, frame, now_ns=now_ns)
        if gone is not None:
            occupant.ring.release(gone.taken)


def spoken_of(message: Descriptor | Lost | Ended) -> int:
    """Frames that a message settles, or brings."""
    if isinstance(message, Lost):
        return message.count
    return 1 if isinstance(message, Descriptor) else 0
