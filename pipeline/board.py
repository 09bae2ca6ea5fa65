"""The status board: a page of shared memory on which every worker writes where it stands, and anybody reads.

Workers stamp the phase they are in and when it must be over; the supervisor judges, without asking. A heartbeat thread
would go on beating in a worker that hangs. The board also keeps what must outlive a worker: how far each source was
settled and published, so that a new publisher goes on where the old one was ended.

Every word has one writer. A writer marks the time in which its words do not agree with each other (`changing`), and a
reader that wants words of several writers to agree reads until nothing moved in between (`SourceCells.snapshot`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Literal, Self, overload

from pipeline.ledger import REASONS
from pipeline.messages import GapReason

WORD_BYTES = 8
EPOCH_ROWS = 16  # epochs of a source that may be open at once
LATENCY_BUCKETS = 128
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

    def __init__(self, words: memoryview[int]) -> None:
        self.words = words


class WorkerCells(Block):
    """Written by one worker."""

    size = 0
    phase = Word()
    deadline_ns = Word()  # monotonic; 0 for none


class CameraCells(Block):
    """Written by a source's camera worker."""

    size = 0
    version = Word()
    state = Word()  # index in STATES
    undecoded = Word()
    width = Word()
    height = Word()
    milli_fps = Word()
    last_frame_time_ns = Word()  # wall clock
    last_arrival_ns = Word()  # monotonic
    reconnects = Word()
    retry_at_ns = Word()  # monotonic; 0 for not waiting
    expected_frames = Word()  # 0 for unknown


class VisionCells(Block):
    """Written by the vision worker, for one source."""

    size = 0
    version = Word()
    invalid = Word()  # messages that did not fit the source


class PublisherCells(Block):
    """Written by the publisher, for one source: a `pipeline.ledger.Counts` that outlives the process."""

    size = 0
    version = Word()
    ended = Word()  # 1: every frame is settled and no more will come
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

    def drop(self, reason: GapReason, frames: int) -> None:
        """Count frames as dropped."""
        self.words[PublisherCells.by_reason.index + REASONS.index(reason)] += frames

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped so far by reason, reasons without any left out."""
        start = PublisherCells.by_reason.index
        return {reason: n for i, reason in enumerate(REASONS) if (n := self.words[start + i])}


class EpochRow(Block):
    """Frames of one epoch of a source, as each worker counts those it has."""

    size = 0
    epoch = Word()
    captured = Word()  # camera: frames given a seq
    camera_held = Word()  # camera: captured, and not yet spoken of to the vision worker
    camera_sent = Word()  # camera: frames spoken of, sent or lost
    vision_received = Word()  # vision: frames the camera spoke of
    vision_held = Word()  # vision: waiting, being analysed, or waiting to leave
    vision_sent = Word()  # vision: frames spoken of to the publisher
    publisher_taken = Word()  # publisher: frames the vision worker spoke of, or spoke of later ones
    closed = Word()  # publisher: 1 once all frames are settled

    @property
    def in_flight(self) -> dict[str, int]:
        """Frames by the queue they are in. A worker counts its own; a link holds what went in and has not come out."""
        return {
            "camera": self.camera_held,
            "to_vision": self.camera_sent - self.vision_received,
            "vision": self.vision_held,
            "to_publisher": self.vision_sent - self.publisher_taken,
        }


class LatencyCells(Block):
    """A histogram, written by the publisher; see `pipeline.latency`."""

    size = LATENCY_BUCKETS


_PARTS: tuple[type[Block], ...] = (CameraCells, VisionCells, PublisherCells, *([EpochRow] * EPOCH_ROWS), LatencyCells)
SOURCE_WORDS = sum(part.size for part in _PARTS)


class SourceCells:
    """Everything on the board about one source."""

    def __init__(self, words: memoryview[int]) -> None:
        self.words = words
        parts, start = [], 0
        for part in _PARTS:
            parts.append(part(words[start : start + part.size]))
            start += part.size
        camera, vision, publisher, *rows, latency = parts
        assert isinstance(camera, CameraCells)
        assert isinstance(vision, VisionCells)
        assert isinstance(publisher, PublisherCells)
        self.camera, self.vision, self.publisher, self.latency = camera, vision, publisher, latency
        self.rows = [row for row in rows if isinstance(row, EpochRow)]

    def row(self, epoch: int) -> EpochRow | None:
        """The row of an epoch that is open; None for one that is not, or no longer."""
        row = self.rows[epoch % EPOCH_ROWS]
        return row if row.epoch == epoch and not row.closed else None

    def begin(self, epoch: int) -> EpochRow | None:
        """A fresh row for an epoch, for the camera worker; None while an earlier epoch still needs it."""
        row = self.rows[epoch % EPOCH_ROWS]
        if row.epoch and not row.closed:
            return None
        with changing(self.camera):
            for i in range(EpochRow.size):
                row.words[i] = 0
            row.epoch = epoch
        return row

    @property
    def open_rows(self) -> list[EpochRow]:
        """Rows of epochs that are not over, in order."""
        return sorted((row for row in self.rows if row.epoch and not row.closed), key=lambda row: row.epoch)

    def snapshot(self) -> SourceCells:
        """A copy of the words in which those of all writers agree, or the last one read if they never hold still.

        Read twice until nothing has changed in between and no writer was in the middle of a change (the double
        collect of Afek et al., "Atomic snapshots of shared memory", 1993, section 3).
        """
        before = self._copy()
        for _ in range(_SNAPSHOT_TRIES):
            after = self._copy()
            if before.words == after.words and after.is_settled:
                return after
            before = after
        return before

    @property
    def is_settled(self) -> bool:
        """Whether no writer is in the middle of a change."""
        return not any(cells.version % 2 for cells in (self.camera, self.vision, self.publisher))

    def _copy(self) -> SourceCells:
        return SourceCells(memoryview(bytearray(self.words)).cast("q"))


@contextmanager
def changing(cells: CameraCells | VisionCells | PublisherCells) -> Iterator[None]:
    """Mark the words a worker writes as in disagreement until the end."""
    cells.version += 1
    try:
        yield
    finally:
        cells.version += 1


def mend(role: Role, sources: Iterable[SourceCells]) -> None:
    """Set right what a worker was ended in the middle of writing about these sources."""
    for cells in sources:
        blocks: dict[Role, CameraCells | VisionCells | PublisherCells] = {
            "camera": cells.camera,
            "vision": cells.vision,
            "publisher": cells.publisher,
        }
        block = blocks[role]
        block.version += block.version % 2
        for row in cells.open_rows:
            if role == "camera":
                row.camera_held = row.captured - row.camera_sent
            elif role == "vision":
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

    @staticmethod
    def create(*, workers: int, sources: int) -> int:
        """The memory of a new board, all zero; the caller closes it."""
        memory = os.memfd_create("everyframe-board", os.MFD_CLOEXEC)
        os.ftruncate(memory, board_bytes(workers=workers, sources=sources))
        return memory


def board_bytes(*, workers: int, sources: int) -> int:
    """Size of a board."""
    return WORD_BYTES * (workers * WorkerCells.size + sources * SOURCE_WORDS)
