"""Whatever is lost before a stream, the stream tells of every frame once."""

from __future__ import annotations

import random

import pytest

from pipeline.errors import WireError
from pipeline.messages import Gap
from pipeline.wire import decode_gap, decode_header, gap_id, parse_id, result_id, topic_of_stream
from pipeline.wire.streams import NOTHING, EntryId
from stages.publish.record import Record
from stages.publish.tail import Entry, Tail


def of(type_: str, epoch: int, first: int, last: int, number: int) -> Record:
    return Record(
        type=type_,  # type: ignore[arg-type]
        source_id="door",
        epoch=epoch,
        first=first,
        last=last,
        session=7,
        number=number,
        time_ns=0,
        reason="late",
        payloads={"tracks": b""},
    )


def published(chance: random.Random) -> tuple[list[Record], dict[int, int]]:
    """What a publisher hands over of some epochs, and how many frames each had."""
    records: list[Record] = []
    captured = {}
    number = 0
    for epoch in range(1, chance.randrange(2, 6)):
        seq = 0
        for _ in range(chance.randrange(0, 12)):
            number += 1
            count = chance.choice((0, 0, 0, 1, 4))
            records.append(of("gap" if count else "result", epoch, seq, seq + max(0, count - 1), number))
            seq += max(1, count)
        if seq:
            records.append(of("over", epoch, 0, seq - 1, number))
            captured[epoch] = seq
    return records, captured


def frames(entry: Entry) -> tuple[int, int, int]:
    """Epoch, first and last frame."""
    if decode_header(entry.header).type == "result":
        return entry.id.epoch, entry.id.last_seq, entry.id.last_seq
    gap = decode_gap(entry.payload)
    return gap.epoch, gap.first_seq, gap.last_seq


@pytest.mark.parametrize("seed", range(60))
def test_every_frame_is_told_of_once_and_nothing_is_counted_as_missed(seed: int) -> None:
    chance = random.Random(seed)
    records, captured = published(chance)
    share = chance.choice((0.0, 0.2, 0.7))
    kept = [record for record in records if record.type == "over" or chance.random() >= share]
    tail = Tail()
    entries = [entry for record in kept for entry in tail.advance(record, "tracks")]
    told: dict[int, list[int]] = {}
    for entry in entries:
        epoch, first, last = frames(entry)
        told.setdefault(epoch, []).extend(range(first, last + 1))
    assert told == {epoch: list(range(count)) for epoch, count in captured.items()}
    ids = [entry.id for entry in entries]
    assert ids == sorted(set(ids))
    number = 0
    for entry in entries:
        header = decode_header(entry.header)
        assert header.number - number - header.numbers <= 0
        number = header.number


def test_what_was_written_before_is_not_due_again() -> None:
    tail = Tail()
    first = of("result", 1, 0, 0, 1)
    assert len(tail.advance(first, "tracks")) == 1
    assert tail.advance(first, "tracks") == []


def test_a_gap_that_a_new_publisher_declares_to_be_safe_leaves_out_what_is_there() -> None:
    tail = Tail()
    tail.advance(of("result", 1, 0, 0, 1), "tracks")
    again = Record(type="gap", source_id="door", epoch=1, first=0, last=2, session=8, number=1, time_ns=0)
    (entry,) = tail.advance(again, "tracks")
    assert frames(entry) == (1, 1, 2)
    assert (
        tail.advance(
            Record(type="gap", source_id="door", epoch=1, first=0, last=1, session=8, number=2, time_ns=0), "tracks"
        )
        == []
    )


def test_acknowledged_frames_that_are_gone_are_declared() -> None:
    tail = Tail()
    for epoch, seq, number in [(1, 0, 1), (1, 1, 2), (2, 0, 3), (2, 1, 4), (2, 2, 5)]:
        tail.advance(of("result", epoch, seq, seq, number), "tracks")
    found = Tail.found(result_id(1, 0), None)
    gaps = [decode_gap(entry.payload) for entry in tail.lost_since(found, "tracks", source_id="door", time_ns=0)]
    assert gaps == [Gap("door", 1, 1, 1, "sink_error"), Gap("door", 2, 0, 2, "sink_error")]
    assert list(tail.lost_since(Tail.found(tail.id, None), "tracks", source_id="door", time_ns=0)) == []


def test_ids_grow_with_the_frames_and_are_never_zero() -> None:
    ids = [result_id(1, 0), gap_id(1, 0), result_id(1, 1), gap_id(1, 5), result_id(1, 6), result_id(2, 0)]
    assert ids == sorted(set(ids))
    assert min(ids) > NOTHING
    assert [at.last_seq for at in ids] == [0, 0, 1, 5, 6, 0]


def test_ids_as_text() -> None:
    assert str(result_id(3, 4)) == "3-9"
    assert parse_id(b"3-9") == parse_id("3-9") == EntryId(3, 9)
    assert parse_id("5") == EntryId(5, 0)
    for wrong in ("", "x", "1-", "-1", "1-2-3", f"{2**64}-0", "\u0663-1", "+1-1"):
        if wrong == "1-":
            assert parse_id(wrong) == EntryId(1, 0)
            continue
        with pytest.raises(WireError):
            parse_id(wrong)


def test_streams_and_topics() -> None:
    assert topic_of_stream("everyframe:", b"everyframe:door/tracks") == b"door/tracks/"
    for wrong in (b"other:door/tracks", b"everyframe:/status", b"everyframe:door", b"everyframe:door/tracks/dead"):
        with pytest.raises(WireError):
            topic_of_stream("everyframe:", wrong)
