"""Records wait on disk in order, within a bound, and outlive whoever put them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SinkError
from stages.publish.record import Record
from stages.publish.spool import Spool

MB = 1024 * 1024


def record(seq: int, *, size: int = 100, type_: str = "result") -> Record:
    return Record(
        type=type_,  # type: ignore[arg-type]
        source_id="door",
        epoch=1,
        first=seq,
        last=seq,
        session=7,
        number=seq + 1,
        time_ns=0,
        payloads={"tracks": bytes([seq % 256]) * size},
    )


def taken(spool: Spool, *, at_once: int = 7) -> list[int]:
    seqs = []
    while records := spool.peek(at_once):
        seqs += [one.first for one in records]
        spool.advance(len(records))
    return seqs


def test_what_was_put_comes_out_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    for seq in range(500):
        assert spool.append(record(seq)) == []
        if seq % 3 == 0:
            assert [one.first for one in spool.peek(1)] == [seq // 3]
            spool.advance(1)
    assert spool.records == 500 - 167
    assert taken(spool) == list(range(167, 500))
    assert (spool.records, spool.size, spool.is_empty) == (0, 0, True)
    assert list(tmp_path.glob("*.spool")) == []
    spool.append(record(900))
    assert taken(spool) == [900]


def test_a_peek_takes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    for seq in range(5):
        spool.append(record(seq))
    assert [one.first for one in spool.peek(3)] == [one.first for one in spool.peek(3)] == [0, 1, 2]


def test_it_outlives_who_put_it(tmp_path: Path) -> None:
    first = Spool(tmp_path, most_bytes=MB)
    for seq in range(300):
        first.append(record(seq, size=1000))
    first.peek(40)
    first.advance(40)
    first.close()
    first.close()
    second = Spool(tmp_path, most_bytes=MB)
    assert second.records == 260
    second.append(record(300))
    assert taken(second) == list(range(40, 301))


def test_when_it_is_full_the_oldest_go(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    lost = [gone.first for seq in range(3000) for gone in spool.append(record(seq, size=1000))]
    assert spool.size <= MB
    assert lost == list(range(len(lost)))
    assert lost
    assert spool.records == 3000 - len(lost)
    assert taken(spool) == list(range(len(lost), 3000))


def test_that_an_epoch_is_over_is_not_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    for seq in range(2000):
        spool.append(record(seq, size=2000))
        if seq % 100 == 50:
            spool.append(record(seq, type_="over"))
    spool.close()
    spool = Spool(tmp_path, most_bytes=MB)
    overs = []
    while records := spool.peek(10):
        overs += [one.first for one in records if one.type == "over"]
        spool.advance(len(records))
    assert overs == list(range(50, 2000, 100))
    assert spool.is_empty


@pytest.mark.parametrize("damage", ["cut", "flipped", "noise"])
def test_a_damaged_file_ends_early_and_the_next_is_read(tmp_path: Path, damage: str) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    for seq in range(200):
        spool.append(record(seq, size=1000))
    spool.close()
    oldest = min(tmp_path.glob("*.spool"))
    written = oldest.read_bytes()
    third = len(written) // 3
    oldest.write_bytes(
        {
            "cut": written[:third],
            "flipped": written[:third] + bytes([written[third] ^ 1]) + written[third + 1 :],
            "noise": b"\xff" * 50,
        }[damage]
    )
    spool = Spool(tmp_path, most_bytes=MB)
    seqs = taken(spool)
    assert seqs == sorted(seqs)
    assert seqs[-1] == 199
    assert 100 < len(seqs) < 200
    assert spool.damaged == 1


def test_what_the_disk_does_not_take_is_lost_and_the_rest_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import resource
    import signal

    spool = Spool(tmp_path, most_bytes=MB)
    spool.append(record(0))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = os.path.getsize(next(tmp_path.glob("*.spool")))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, unlimited[1]))
        assert [one.first for one in spool.append(record(1))] == [1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, ignored)
    assert spool.failure
    spool.append(record(2))
    assert taken(spool) == [0, 2]


def test_one_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=MB)
    with pytest.raises(SinkError, match=r"redis\.spool_directory: .* is in use by another run"):
        Spool(tmp_path, most_bytes=MB)
    spool.close()
    Spool(tmp_path, most_bytes=MB).close()


def test_a_folder_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"redis\.spool_directory: .*file"):
        Spool(tmp_path / "file" / "x", most_bytes=MB)
