"""Shared memory: the ring's slots, the board's words, and reading them while they change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from pipeline.board import EPOCH_ROWS, Board, Role, SourceCells, changing, mend
from pipeline.errors import LinkError
from pipeline.links.shared_memory import Geometry, Ring, Slot, plane_shapes
from pipeline.messages import PixelFormat, Surface

GEOMETRY = Geometry.of(slots=3, max_pixels=64 * 48)


@pytest.fixture
def rings() -> Iterator[tuple[Ring, Ring]]:
    """The same ring as a writer and as a reader have it mapped."""
    memory, freed = Ring.create(GEOMETRY)
    yield Ring(memory, freed, GEOMETRY), Ring(memory, freed, GEOMETRY)
    os.close(memory)
    os.close(freed)


@pytest.fixture
def board() -> Iterator[Board]:
    memory = Board.create(workers=2, sources=2)
    yield Board(memory, workers=2, sources=2)
    os.close(memory)


def surface_of(pixel_format: PixelFormat, width: int, height: int) -> Surface:
    chance = np.random.default_rng(0)
    planes = tuple(
        chance.integers(0, 256, shape, dtype=np.uint8) for shape in plane_shapes(pixel_format, width, height)
    )
    return Surface(pixel_format, planes, matrix="bt709", range="full")


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "rgb24"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (33, 17), (1, 1)])
def test_a_picture_comes_out_as_it_went_in(
    rings: tuple[Ring, Ring], pixel_format: PixelFormat, width: int, height: int
) -> None:
    writer, reader = rings
    surface = surface_of(pixel_format, width, height)
    writer.take()
    slot = writer.take()
    assert slot == Slot(1, 1)
    writer.write(slot, surface)
    seen = reader.surface(
        slot, pixel_format=pixel_format, width=width, height=height, matrix="bt709", value_range="full"
    )
    assert repr(seen) == repr(surface)
    for plane, original in zip(seen.planes, surface.planes, strict=True):
        np.testing.assert_array_equal(plane, original)


def test_slots_are_taken_lowest_first_and_given_back_from_elsewhere(rings: tuple[Ring, Ring]) -> None:
    writer, reader = rings
    taken = [writer.take() for _ in range(4)]
    assert [slot and slot.index for slot in taken] == [0, 1, 2, None]
    assert isinstance(taken[1], Slot)
    reader.release(taken[1])
    again = writer.take()
    assert again == Slot(1, 2)
    assert reader.is_current(again)
    assert not reader.is_current(taken[1])


def test_a_writer_is_woken_when_as_many_slots_are_free_as_it_wants(rings: tuple[Ring, Ring]) -> None:
    writer, reader = rings
    taken = [slot for _ in range(3) if (slot := writer.take())]
    assert not writer.want(2)
    reader.release(taken[0])
    with pytest.raises(BlockingIOError):
        os.eventfd_read(writer.freed)
    reader.release(taken[2])
    assert os.eventfd_read(writer.freed) == 1
    assert writer.want(2)
    writer.want(0)
    reader.release(taken[1])
    with pytest.raises(BlockingIOError):
        os.eventfd_read(writer.freed)


def test_a_late_release_does_not_free_the_slot_under_a_new_picture(rings: tuple[Ring, Ring]) -> None:
    writer, reader = rings
    old = writer.take()
    assert old is not None
    writer.reclaim()
    assert writer.in_use == 0
    new = writer.take()
    assert new is not None
    assert new.index == old.index
    reader.release(old)
    assert writer.in_use == 1
    assert reader.is_current(new)


def test_a_picture_too_large_or_a_slot_that_is_none_is_refused(rings: tuple[Ring, Ring]) -> None:
    writer, reader = rings
    assert not writer.fits(surface_of("yuv420p", 512, 512))
    for slot, width in ((Slot(0, 1), 4096), (Slot(99, 1), 64), (Slot(-1, 1), 64)):
        with pytest.raises(LinkError, match="cannot hold"):
            reader.surface(slot, pixel_format="yuv420p", width=width, height=480, matrix="bt601", value_range="full")
    assert not reader.is_current(Slot(99, 0))


def test_the_memory_is_sparse() -> None:
    memory, freed = Ring.create(Geometry.of(slots=16, max_pixels=8192 * 4320))
    assert os.fstat(memory).st_size > 500 << 20
    assert os.fstat(memory).st_blocks == 0
    os.close(memory)
    os.close(freed)


def test_a_ring_smaller_than_it_should_be_is_refused() -> None:
    memory, freed = Ring.create(GEOMETRY)
    with pytest.raises(LinkError, match="are needed"):
        Ring(memory, freed, Geometry.of(slots=99, max_pixels=64 * 48))
    os.close(memory)
    os.close(freed)


def test_the_board_is_shared_and_its_blocks_do_not_overlap(board: Board) -> None:
    every = [(cells, i) for cells in (*board.workers, *board.sources) for i in range(len(cells.words))]
    for number, (cells, i) in enumerate(every):
        cells.words[i] = number
    assert [cells.words[i] for cells, i in every] == list(range(len(every)))


def test_dropped_frames_are_kept_by_reason(board: Board) -> None:
    counts = board.sources[1].publisher
    counts.drop("late", 2)
    counts.drop("sink_error", 1)
    counts.drop("late", 3)
    assert counts.dropped == {"late": 5, "sink_error": 1}
    assert board.sources[0].publisher.dropped == {}


def test_an_epoch_has_a_row_until_it_is_closed(board: Board) -> None:
    cells = board.sources[0]
    row = cells.begin(1, by=cells.camera)
    assert row is not None
    row.captured = 5
    assert cells.begin(1 + EPOCH_ROWS, by=cells.camera) is None
    assert cells.row(1) is row
    cells.publisher.closed_epoch = 1
    assert cells.row(1) is None
    assert cells.over_rows == [row]
    fresh = cells.begin(1 + EPOCH_ROWS, by=cells.camera)
    assert fresh is not None
    assert fresh.captured == 0
    assert [open_row.epoch for open_row in cells.open_rows] == [1 + EPOCH_ROWS]


def test_a_snapshot_is_a_copy_and_waits_for_writers_to_agree(board: Board) -> None:
    cells = board.sources[0]
    cells.camera.width = 7
    before = cells.snapshot()
    cells.camera.width = 8
    assert before.camera.width == 7
    with changing(cells.camera):
        assert not cells.snapshot().is_settled
    assert cells.snapshot().is_settled


@pytest.mark.parametrize("role", ["camera", "vision"])
def test_what_a_dead_writer_left_open_is_mended(board: Board, role: Role) -> None:
    cells = board.sources[0]
    row = cells.begin(1, by=cells.camera)
    assert row is not None
    row.captured, row.camera_sent, row.vision_received, row.vision_sent = 5, 3, 3, 1  # and held: not written yet
    block = cells.camera if role == "camera" else cells.vision
    block.version += 1
    mend(role, [cells])
    assert cells.is_settled
    assert row.camera_held == (2 if role == "camera" else 0)
    assert row.vision_held == (2 if role == "vision" else 0)
    settled = block.version
    mend(role, [cells])
    assert block.version == settled


def test_what_the_publisher_did_not_finish_writing_never_was(board: Board) -> None:
    counts, seen_by_others = board.sources[0].publisher, SourceCells(board.sources[0].words).publisher
    with counts.settling():
        counts.epoch, counts.next_seq, counts.resulted = 1, 5, 5
        assert (counts.next_seq, seen_by_others.next_seq) == (5, 0)
    assert (seen_by_others.epoch, seen_by_others.next_seq, seen_by_others.resulted) == (1, 5, 5)
    with suppress(KeyboardInterrupt), counts.settling():
        counts.next_seq += 1
        raise KeyboardInterrupt
    assert (counts.next_seq, seen_by_others.next_seq) == (5, 5)
    counts.sending_epoch = 7
    with counts.settling():
        counts.drop("late", 1)
    assert (seen_by_others.sending_epoch, seen_by_others.next_seq, seen_by_others.dropped) == (7, 5, {"late": 1})
