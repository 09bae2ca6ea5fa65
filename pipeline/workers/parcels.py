"""How results and losses leave the vision worker: coded, in order, each accounted for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.batching import Waiting, frames_of
from pipeline.links.link import Link
from pipeline.workers.inbound import Entry
from pipeline.workers.messages import Analysed, Descriptor, FromVision, Lost, encode, message_of
from pipeline.workers.occupants import Occupants


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """A message for the publisher."""

    parts: list[bytes]
    spoken: list[tuple[int, int, int]]  # source, epoch, frames


class Parcels:
    """The sending end of the link to the publisher, and what waits for room on it."""

    def __init__(
        self,
        outlet: str,
        *,
        link_to: Callable[[str], Link],
        occupants: Occupants,
        hand_on_pictures: bool,
    ) -> None:
        """`link_to` opens the link to an address. `hand_on_pictures`: the publisher draws, and gives slots back."""
        self._link_to = link_to
        self._link = link_to(outlet)
        self._occupants = occupants
        self._hand_on_pictures = hand_on_pictures
        self._waiting: deque[Parcel] = deque()

    @property
    def link(self) -> Link:
        """To wait on for room."""
        return self._link

    @property
    def blocked(self) -> bool:
        """Whether the publisher has not taken all there is."""
        return bool(self._waiting)

    def reroute(self, outlet: str) -> None:
        """Send to another publisher from now on."""
        self._link.close()
        self._link = self._link_to(outlet)

    def pack(self, entries: Sequence[Entry], payloads: Mapping[tuple[str, int, int], bytes]) -> None:
        """Send what became of these entries; a frame without a payload is lost. Gives back their slots."""
        messages: list[FromVision] = []
        coded: list[bytes] = []
        for entry in entries:
            if not isinstance(entry, Waiting):
                messages.append(message_of(entry, self._occupants.number_of(entry.source_id)))
                continue
            message, payload = self._fate(entry, payloads)
            messages.append(message)
            coded += [payload] if payload is not None else []
        parts = [encode(messages), b"".join(coded)]  # each part of a message costs both ends some microseconds
        spoken = [
            (entry.frame.source, entry.frame.epoch, 1)
            if isinstance(entry, Waiting)
            else (self._occupants.number_of(entry.source_id), entry.epoch, frames_of(entry))
            for entry in entries
        ]
        self._waiting.append(Parcel(parts, spoken))
        self.send()

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        while self._waiting and self._link.send(self._waiting[0].parts):
            for source, epoch, frames in self._waiting.popleft().spoken:
                cells = self._occupants[source].cells
                row = cells.row(epoch)
                if row is not None and frames:
                    cells.vision_passed_on(row, frames)

    def holds(self, source: int) -> bool:
        """Whether something of a source waits."""
        return any(source == spoken for parcel in self._waiting for spoken, _, _ in parcel.spoken)

    def close(self, flush_seconds: float) -> None:
        """Give what was sent up to so long to leave."""
        self._link.close(flush_seconds=flush_seconds)

    def _fate(
        self, entry: Waiting[Descriptor], payloads: Mapping[tuple[str, int, int], bytes]
    ) -> tuple[FromVision, bytes | None]:
        at = entry.frame
        ring = self._occupants[at.source].ring
        payload = payloads.get((entry.source_id, at.epoch, at.seq))
        slot = at.taken
        if not ring.is_current(slot):
            # The camera worker was replaced and took its slots back: what was analysed may be another picture.
            return Lost(at.source, at.epoch, at.seq, at.seq, "worker_restart"), None
        if payload is None:
            ring.release(slot)
            return Lost(at.source, at.epoch, at.seq, at.seq, "inference_error"), None
        if not self._hand_on_pictures:
            ring.release(slot)
        picture = at if self._hand_on_pictures else None
        return Analysed(at.source, at.epoch, at.seq, at.arrival_ns, picture, len(payload)), payload
