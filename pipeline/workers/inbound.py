"""How frames come into the vision worker: from all cameras, into queues, each accounted for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from pipeline.batching import Batcher, Notice, Waiting
from pipeline.board import SourceCells, changing
from pipeline.config import SourceConfig
from pipeline.links.link import Link
from pipeline.links.shared_memory import Ring
from pipeline.messages import Gap
from pipeline.workers.messages import Descriptor, Ended, FromCamera, Lost, decode_from_camera, notice_of

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
        sources: Sequence[SourceConfig],
        cells: Sequence[SourceCells],
        rings: Mapping[int, Ring],
    ) -> None:
        self._link, self._batcher = link, batcher
        self._sources, self._cells, self._rings = sources, cells, rings
        self._accepted_ns = [time.monotonic_ns()] * len(sources)  # when a frame of each was queued last
        for source in sources:
            batcher.add_source(source.source_id, lossless=source.lossless, priority=source.priority)

    def receive_all(self) -> None:
        """Queue everything that has come."""
        while (parts := self._link.receive()) is not None:
            try:
                messages = decode_from_camera(parts[0])
            except msgspec.DecodeError:
                continue  # only processes of ours get through to here; an ended one may have sent half a message
            for message in messages:
                if 0 <= message.source < len(self._sources):
                    self._accept(message)

    @property
    def is_empty(self) -> bool:
        """Whether all that the cameras said they sent has come."""
        rows = (row for cells in self._cells for row in cells.open_rows)
        return all(row.vision_received >= row.camera_sent for row in rows)

    def _accept(self, message: FromCamera) -> None:
        cells = self._cells[message.source]
        row = cells.row(message.epoch)
        if row is None:  # the epoch is over: nothing of it is wanted any more
            if isinstance(message, Descriptor):
                self._rings[message.source].release(message.taken)
            return
        with changing(cells.vision):
            frames = spoken_of(message)
            row.vision_received += frames
            row.vision_held += frames
        if isinstance(message, Descriptor):
            self._queue(message, time.monotonic_ns())
        else:
            self._batcher.note(notice_of(message, self._sources[message.source].source_id))

    def _queue(self, frame: Descriptor, now_ns: int) -> None:
        """Queue a frame, or let it go: one of a live source that comes late, or the one that gives way to it."""
        source = self._sources[frame.source]
        accepted_ns = self._accepted_ns[frame.source]
        if not source.lossless and now_ns - frame.arrival_ns > LATE_NS and now_ns - accepted_ns < LATE_NS:
            gone: Descriptor | None = frame
            self._batcher.note(Gap(source.source_id, frame.epoch, frame.seq, frame.seq, "late"))
        else:
            self._accepted_ns[frame.source] = now_ns
            gone = self._batcher.push(source.source_id, frame, now_ns=now_ns)
        if gone is not None:
            self._rings[gone.source].release(gone.taken)


def spoken_of(message: Descriptor | Lost | Ended) -> int:
    """Frames that a message settles, or brings."""
    if isinstance(message, Lost):
        return message.count
    return 1 if isinstance(message, Descriptor) else 0
