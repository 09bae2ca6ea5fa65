"""How frames leave whoever decodes them: into slots and over the link, each accounted for."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.batching import EpochEnd
from pipeline.board import CameraCells, DecodeCells, EpochRow, SourceCells, changing
from pipeline.errors import SourceUnsupported
from pipeline.links.link import Link
from pipeline.links.shared_memory import Ring, Slot
from pipeline.messages import Frame, Gap, GapReason
from pipeline.workers.messages import Descriptor, Ended, FromCamera, encode, message_of


class Outbound:
    """The end of a link to the vision worker's loop: of a camera worker, or of a thread that decodes its packets.

    A frame without a slot is lost. It is spoken of in front of the next message, so that it is declared in its place.
    """

    def __init__(
        self,
        outlet: str,
        *,
        link_to: Callable[[str], Link],
        source: int,
        source_id: str,
        cells: SourceCells,
        own: CameraCells | DecodeCells,
        ring: Ring,
    ) -> None:
        """`link_to` opens the link to an address. `own`: the words of whoever uses this."""
        self._source, self._source_id = source, source_id
        self._cells, self._own = cells, own
        self._ring = ring
        self._link_to = link_to
        self._link = link_to(outlet)
        self._row: EpochRow | None = None
        self._epoch = 0
        self._lost: Gap | None = None

    def begin(self, epoch: int) -> bool:
        """Open a new epoch; False while an old one still needs the room (see `SourceCells.begin`)."""
        if epoch == self._epoch:
            return True
        row = self._cells.begin(epoch, by=self._own)
        if row is None:
            return False
        self.end("worker_restart", final=False)
        self._epoch, self._row = epoch, row
        return True

    def captured(self) -> None:
        """A frame of the current epoch was decoded."""
        row = self._current_row()
        with changing(self._own):
            row.captured += 1
            row.camera_held += 1

    def send(self, frame: Frame, seq: int, slot: Slot, *, arrival_ns: int) -> object:
        """Copy the picture, and hand its description on: the CUDA event after which it was read; see
        `PicturePool.write`.

        Raises `SourceUnsupported` where no slot can hold it.
        """
        if not self._ring.fits(frame.surface):
            self._ring.release(slot)
            raise SourceUnsupported(
                f"{self._source_id} sends {frame.width}x{frame.height} {frame.surface.format}, which is more than"
                f" {self._ring.geometry.slot_bytes} bytes a picture; raise max_pixels of the source"
            )
        read = self._ring.write(slot, frame.surface)
        described = Descriptor.of(frame, slot, source=self._source, epoch=self._epoch, seq=seq, arrival_ns=arrival_ns)
        if not self._hand_on([described], frames=1):
            self._ring.release(slot)
            self.lose(seq, "backlog")
        return read

    def lose(self, seq: int, reason: GapReason) -> None:
        """A frame of the current epoch is lost."""
        if self._lost is not None and self._lost.reason != reason:
            self._hand_on([], frames=0)
        first = seq if self._lost is None else self._lost.first_seq
        self._lost = Gap(self._source_id, self._epoch, first, seq, reason)

    def end(self, reason: GapReason, *, final: bool) -> None:
        """The current epoch, if there is one, brings nothing more. `reason`: of frames nobody has spoken for."""
        if self._row is None:
            return
        end = EpochEnd(self._source_id, self._epoch, self._row.captured, reason, final)
        ended = message_of(end, self._source)
        assert isinstance(ended, Ended)
        self._hand_on([ended], frames=0)
        self._row = self._lost = None  # what the link did not take is declared when the epoch is closed

    def reconnect(self, outlet: str) -> None:
        """Speak to another vision worker. What the old one was told is its loss; no slot is out any more."""
        self._link.close()
        self._ring.reclaim()
        self._link = self._link_to(outlet)
        self._lost = None
        self._row = None

    def close(self, flush_seconds: float) -> None:
        """Give what was sent up to so long to leave."""
        self._link.close(flush_seconds=flush_seconds)

    def _current_row(self) -> EpochRow:
        assert self._row is not None, "a frame before its epoch"
        return self._row

    def _hand_on(self, messages: list[FromCamera], *, frames: int) -> bool:
        lost = self._lost
        if lost is not None:
            messages = [message_of(lost, self._source), *messages]
            frames += lost.count
        if messages and not self._link.send([encode(messages)]):
            return False
        self._lost = None
        row = self._current_row()
        with changing(self._own):
            row.camera_held -= frames
            row.camera_sent += frames
        return True
