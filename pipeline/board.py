"""The status board: a page of shared memory on which every worker writes where it stands, and anybody reads.

Workers stamp the phase they are in and when it must be over; the supervisor judges, without asking. A heartbeat thread
would go on beating in a worker that hangs. The board also keeps what must outlive a worker: how far each source was
settled and published, so that a new publisher goes on where the old one was ended.

Every word has one writer. A writer marks the time in which its words do not agree with each other (`changing`), and a
reader that wants words of several writers to agree reads until nothing moved in between (`SourceCells.snapshot`).
What a camera or vision worker was ended in the middle of writing follows from its other words (`mend`). What the
publisher was, does not: it writes each change beside what holds, and makes it hold by one word (`settling`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from enum import IntEnum
from typing import Literal, Self, overload

from pipeline.latency import BUCKETS, record
from pipeline.ledger import REASONS
from pipeline.messages import GapReason

WORD_BYTES = 8
EPOCH_ROWS = 16  # epochs of a source that may be open at once
_SNAPSHOT_TRIES = 200


Role = Literal["vision", "publisher", "camera"]


class Phase(IntEnum):
    """What a worker is doing."""

    STARTING = 0
    OPENING = 1
    READING = 2
    WAITING = 3
    LOADING = 4
    WORKING = 5
    CLOSING = 6


class Word:
    """A 64-bit integer of a block, as an attribute; `width` words where it is the first of several."""

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self.index = 0

    def __set_name__(self, owner: type[Block], name: str) -> None:
        self.index = owner.size
        owner.size += self._width

    @overload
    def __get__(self, block: None, owner: type[Block]) -> Self: ...

    @overload
    def __get__(self, block: Block, owner: type[Block]) -> int: ...

    def __get__(self, block: Block | None, owner: type[Block]) -> Self | int:
        return self if block is None else block.words[self.index]

    def __set__(self, block: Block, value: int) -> None:
        block.words[self.index] = value


class Block:
    """Words side by side on the board. Each kind of block starts its own `size` at 0."""

    size = 0

    words: memoryview[int]  # those that hold; a plain attribute, because it is asked for with every word

    def __init__(self, words: memoryview[int]) -> None:
        self.words = words

    @classmethod
    def extent(cls) -> int:
        """Words it takes on the board."""
        return cls.size


class WorkerCells(Block):
    """Written by one worker."""

    size = 0
    phase = Word()
    deadline_ns = Word()  # monotonic; 0 for none


class CameraCells(Block):
    """Written by a source's camera worker, and while there is none by the supervisor."""

    size = 0
    version = Word()
    state = Word()  # index in STATES
    undecoded = Word()
    damaged = Word()
    received_bytes = Word()
    epochs = Word()  # begun in this run
    width = Word()
    height = Word()
    milli_fps = Word()
    last_frame_time_ns = Word()  # wall clock, when it was decoded
    last_arrival_ns = Word()  # monotonic
    reconnects = Word()
    failures = Word()  # connections that failed in a row
    retry_at_ns = Word()  # monotonic; 0 for not waiting
    expected_frames = Word()  # 0 for unknown
    sends_packets = Word()  # 1: the vision worker decodes, and writes `DecodeCells` and the camera's words of a row


class DecodeCells(Block):
    """Written by the thread of the vision worker that decodes a source's packets."""

    size = 0
    version = Word()
    epochs = Word()  # begun in this run
    undecoded = Word()
    damaged = Word()
    width = Word()
    height = Word()
    milli_fps = Word()
    last_frame_time_ns = Word()  # wall clock, when it was decoded
    last_arrival_ns = Word()  # monotonic
    session = Word()  # the camera worker's number of the connection whose packets it is given
    frames = Word()  # decoded in that
    opened_ns = Word()  # monotonic; when it was ready for its packets
    taken_ns = Word()  # monotonic; when it was given the last one
    drained = Word()  # number of the last connection whose packets were all decoded
    ended = Word()  # number of the last connection of which nothing more will come
    refused = Word()  # number of the last connection whose packets it cannot decode
    decoding = Word()  # 1 while the decoder has a packet: who ends the process in that is suspect


class VisionCells(Block):
    """Written by the vision worker, for one source."""

    size = 0
    version = Word()
    invalid = Word()  # messages that did not fit the source


class PublisherCells(Block):
    """Written by the publisher, for one source: a `pipeline.ledger.Counts` that outlives the process.

    Its words lie there twice, after a version that tells by its last bit which of the two hold. A publisher that is
    ended in the middle of a change has changed nothing.
    """

    size = 0
    ended = Word()  # 1: every frame is settled and no more will come
    closed_epoch = Word()  # this epoch and those before it are over
    closed_captured = Word()  # frames of epochs that are over
    epoch = Word()
    next_seq = Word()
    resulted = Word()
    lost_since_result = Word()
    fenced = Word()
    sending_epoch = Word()  # 0, or that of the item which is just being published
    sending_first = Word()
    sending_last = Word()
    sending_result = Word()  # 1: the last of its frames has a result
    by_reason = Word(len(REASONS))

    def __init__(self, words: memoryview[int]) -> None:
        self._version = words[:1]
        self._banks = (words[1 : 1 + self.size], words[1 + self.size :])
        self._ahead = 0  # 1 while we write what does not hold yet

    @classmethod
    def extent(cls) -> int:
        """Words it takes on the board."""
        return 1 + 2 * cls.size

    @property
    def words(self) -> memoryview[int]:  # type: ignore[override]
        """The words that hold; to the publisher in the middle of a change, those that are about to."""
        return self._banks[(self._version[0] + self._ahead) % 2]

    def settling(self) -> Settling:
        """Change words all at once, at the end; not at all where that is not reached."""
        return Settling(self)

    def settle_next(self, epoch: int, seq: int) -> int | None:
        """Settle the result of the first frame that is not settled, and that it is being sent; the frames lost before.

        None, and nothing changes, for any other frame. It is what `pipeline.ledger` and `pipeline.workers.stream` do
        under `settling`, for the case that nearly every frame is.
        """
        version = self._version[0]
        held = self._banks[version % 2]
        if held[_EPOCH] != epoch or held[_NEXT_SEQ] != seq:
            return None
        ahead = self._banks[(version + 1) % 2]
        ahead[:] = held
        ahead[_NEXT_SEQ] = seq + 1
        ahead[_RESULTED] += 1
        ahead[_LOST_SINCE_RESULT] = 0
        ahead[_SENDING_FIRST] = ahead[_SENDING_LAST] = seq
        ahead[_SENDING_RESULT] = 1
        ahead[_SENDING_EPOCH] = epoch
        self._version[0] = version + 1
        return held[_LOST_SINCE_RESULT]

    def drop(self, reason: GapReason, frames: int) -> None:
        """Count frames as dropped."""
        self.words[PublisherCells.by_reason.index + REASONS.index(reason)] += frames

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped so far by reason, reasons without any left out."""
        start = PublisherCells.by_reason.index
        return {reason: n for i, reason in enumerate(REASONS) if (n := self.words[start + i])}


_EPOCH, _NEXT_SEQ = PublisherCells.epoch.index, PublisherCells.next_seq.index
_RESULTED, _LOST_SINCE_RESULT = PublisherCells.resulted.index, PublisherCells.lost_since_result.index
_SENDING_FIRST, _SENDING_LAST = PublisherCells.sending_first.index, PublisherCells.sending_last.index
_SENDING_RESULT, _SENDING_EPOCH = PublisherCells.sending_result.index, PublisherCells.sending_epoch.index


class Settling:
    """A change of `PublisherCells`; see there. Made for each frame, so no generator."""

    __slots__ = ("_cells",)

    def __init__(self, cells: PublisherCells) -> None:
        self._cells = cells

    def __enter__(self) -> None:
        cells = self._cells
        held = cells.words
        cells._ahead = 1
        cells.words[:] = held

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._cells._version[0] += 1
        self._cells._ahead = 0


class EpochRow(Block):
    """Frames of one epoch of a source, as each worker counts those it has."""

    size = 0
    epoch = Word()
    captured = Word()  # camera, or who decodes its packets: frames given a seq
    camera_held = Word()  # the same: captured, and not yet spoken of to the vision worker's loop
    camera_sent = Word()  # the same: frames spoken of, sent or lost
    vision_received = Word()  # vision: frames the camera spoke of
    vision_held = Word()  # vision: waiting, being analysed, or waiting to leave
    vision_sent = Word()  # vision: frames spoken of to the publisher


_VISION_VERSION = VisionCells.version.index
_VISION_RECEIVED, _VISION_HELD = EpochRow.vision_received.index, EpochRow.vision_held.index
_VISION_SENT = EpochRow.vision_sent.index


class AuditCells(Block):
    """Written by the supervisor, for one source; see `pipeline.audit`."""

    size = 0
    violations = Word()  # how often the ledger was found not to balance
    unaccounted = Word()  # frames by which it did not, when it was looked at last
    told_at_ns = Word()  # monotonic; when somebody was told; 0 for never


class LatencyCells(Block):
    """A histogram, written by the publisher; see `pipeline.latency`."""

    size = 0
    first_bucket = Word(BUCKETS)
    total_us = Word()

    @property
    def buckets(self) -> memoryview[int]:
        """How many latencies fell in each bucket."""
        return self.words[:BUCKETS]

    def record(self, latency_ms: float) -> None:
        """Count one latency."""
        record(self.buckets, latency_ms)
        self.total_us += round(latency_ms * 1000)


_PARTS: tuple[type[Block], ...] = (
    *(CameraCells, DecodeCells, VisionCells, PublisherCells, AuditCells),
    *([EpochRow] * EPOCH_ROWS),
    LatencyCells,
)
SOURCE_WORDS = sum(part.extent() for part in _PARTS)


class SourceCells:
    """Everything on the board about one source."""

    def __init__(self, words: memoryview[int]) -> None:
        self.words = words
        parts, start = [], 0
        for part in _PARTS:
            parts.append(part(words[start : start + part.extent()]))
            start += part.extent()
        camera, decode, vision, publisher, audit, *rows, latency = parts
        assert isinstance(camera, CameraCells)
        assert isinstance(decode, DecodeCells)
        assert isinstance(vision, VisionCells)
        assert isinstance(publisher, PublisherCells)
        assert isinstance(latency, LatencyCells)
        assert isinstance(audit, AuditCells)
        self.camera, self.decode, self.vision, self.publisher = camera, decode, vision, publisher
        self.audit, self.latency = audit, latency
        self.rows = [row for row in rows if isinstance(row, EpochRow)]

    def row(self, epoch: int) -> EpochRow | None:
        """The row of an epoch that is open; None for one that is not, or no longer."""
        row = self.rows[epoch % EPOCH_ROWS]
        return row if row.epoch == epoch and epoch > self.publisher.closed_epoch else None

    def vision_took(self, row: EpochRow, frames: int) -> None:
        """The vision worker has frames that the camera spoke of. As under `changing`, without its cost a frame."""
        version, words = self.vision.words, row.words
        version[_VISION_VERSION] += 1
        words[_VISION_RECEIVED] += frames
        words[_VISION_HELD] += frames
        version[_VISION_VERSION] += 1

    def vision_passed_on(self, row: EpochRow, frames: int) -> None:
        """The vision worker has spoken of frames to the publisher. As under `changing`, without its cost a frame."""
        version, words = self.vision.words, row.words
        version[_VISION_VERSION] += 1
        words[_VISION_HELD] -= frames
        words[_VISION_SENT] += frames
        version[_VISION_VERSION] += 1

    def begin(self, epoch: int, *, by: CameraCells | DecodeCells) -> EpochRow | None:
        """A fresh row for an epoch, for who numbers frames; None while an earlier epoch still needs it."""
        row = self.rows[epoch % EPOCH_ROWS]
        if self._is_open(row):
            return None
        with changing(by):
            for i in range(EpochRow.size):
                row.words[i] = 0
            row.epoch = epoch
            by.epochs += 1
        return row

    @property
    def decoder(self) -> CameraCells | DecodeCells:
        """The words of who decodes the source."""
        return self.decode if self.camera.sends_packets else self.camera

    @property
    def open_rows(self) -> list[EpochRow]:
        """Rows of epochs that are not over, in order."""
        return sorted(filter(self._is_open, self.rows), key=lambda row: row.epoch)

    @property
    def newest_epoch(self) -> int:
        """Of those that are not over; 0 where all are."""
        return max((row.epoch for row in self.open_rows), default=0)

    @property
    def over_rows(self) -> list[EpochRow]:
        """Rows of the newest epochs that are over, in order."""
        return sorted((row for row in self.rows if row.epoch and not self._is_open(row)), key=lambda row: row.epoch)

    def taken(self, row: EpochRow) -> int:
        """Frames of an open epoch that have come out of the link to the publisher, or will not any more.

        That is all up to the newest settled one: what it found missing before that, it has settled as lost.
        """
        return self.publisher.next_seq if row.epoch == self.publisher.epoch else 0

    def in_flight(self, row: EpochRow) -> dict[str, int]:
        """Frames of an open epoch by the queue they are in.

        A worker counts those it has; a link holds what went in and has not come out.
        """
        return {
            "camera": row.camera_held,
            "to_vision": row.camera_sent - row.vision_received,
            "vision": row.vision_held,
            "to_publisher": row.vision_sent - self.taken(row),
        }

    def snapshot(self) -> SourceCells:
        """A copy of the words in which those of all writers agree, or the last one read if they never hold still."""
        return self.agreed() or _cells_of(bytes(self.words))

    def agreed(self) -> SourceCells | None:
        """A copy of the words in which those of all writers agree; None if they never hold still.

        Read twice until nothing has changed in between and no writer was in the middle of a change (the double
        collect of Afek et al., "Atomic snapshots of shared memory", 1993, section 3).
        """
        before = bytes(self.words)
        for _ in range(_SNAPSHOT_TRIES):
            after = bytes(self.words)
            if before == after and (copy := _cells_of(after)).is_settled:
                return copy
            before = after
        return None

    @property
    def is_settled(self) -> bool:
        """Whether no writer is in the middle of a change."""
        return not any(cells.version % 2 for cells in (self.camera, self.decode, self.vision))

    def _is_open(self, row: EpochRow) -> bool:
        return row.epoch > self.publisher.closed_epoch


def _cells_of(words: bytes) -> SourceCells:
    """A copy of a source's words, to be read and changed by whoever made it."""
    return SourceCells(memoryview(bytearray(words)).cast("q"))


class changing:  # noqa: N801 - read as a verb, `with changing(cells)`; entered for each frame, so no generator
    """Mark the words a worker writes as in disagreement until the end."""

    __slots__ = ("_cells",)

    def __init__(self, cells: CameraCells | DecodeCells | VisionCells) -> None:
        self._cells = cells

    def __enter__(self) -> None:
        self._cells.version += 1

    def __exit__(self, *_: object) -> None:
        self._cells.version += 1


def mend(role: Role, sources: Iterable[SourceCells]) -> None:
    """Set right what a worker was ended in the middle of writing about these sources."""
    for cells in sources:
        if role == "publisher":
            continue
        if role == "vision":
            _mend_vision(cells)
        else:
            cells.camera.version += cells.camera.version % 2
        if (role == "camera" and not cells.camera.sends_packets) or (role == "vision" and cells.camera.sends_packets):
            for row in cells.open_rows:
                row.camera_held = row.captured - row.camera_sent


def _mend_vision(cells: SourceCells) -> None:
    for block in (cells.vision, cells.decode):
        block.version += block.version % 2
    cells.decode.decoding = 0
    for row in cells.open_rows:
        row.vision_held = row.vision_received - row.vision_sent


class Board:
    """The whole board, mapped into this process. The descriptor stays the caller's."""

    def __init__(self, memory: int, *, workers: int, sources: int) -> None:
        size = os.fstat(memory).st_size
        assert size >= board_bytes(workers=workers, sources=sources), "the board was created for fewer"
        self._map = mmap.mmap(memory, size)
        words = memoryview(self._map).cast("q")
        start = workers * WorkerCells.size
        self.workers = [WorkerCells(words[i * WorkerCells.size :][: WorkerCells.size]) for i in range(workers)]
        self.sources = [SourceCells(words[start + i * SOURCE_WORDS :][:SOURCE_WORDS]) for i in range(sources)]

    def clear(self, source: int) -> None:
        """All words about a source become zero; nobody may be writing them."""
        words = self.sources[source].words
        words[:] = memoryview(bytes(words.nbytes)).cast("q")

    @staticmethod
    def create(*, workers: int, sources: int) -> int:
        """The memory of a new board, all zero; the caller closes it."""
        memory = os.memfd_create("everyframe-board", os.MFD_CLOEXEC)
        os.ftruncate(memory, board_bytes(workers=workers, sources=sources))
        return memory


def board_bytes(*, workers: int, sources: int) -> int:
    """Size of a board."""
    return WORD_BYTES * (workers * WorkerCells.size + sources * SOURCE_WORDS)
