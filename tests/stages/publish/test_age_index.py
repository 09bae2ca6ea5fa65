"""Streams are trimmed by age although their ids tell nothing of time, also after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.wire import result_id
from pipeline.wire.streams import EntryId
from stages.publish.age_index import SAMPLES, AgeIndex
from tests.redis_server import RedisServer
from tests.stages.publish.streams import frames_of, put_results, settled, sink_at, until

SECOND = 1_000_000_000
AGE = 640


def test_what_is_older_than_the_age_is_found_within_a_spacing(tmp_path: Path) -> None:
    ages = AgeIndex(AGE, tmp_path / "ages")
    first = 0
    for second in range(3 * AGE):
        ages.note("s", result_id(1, second), second * SECOND)
        for stream, at in ages.too_old(second * SECOND):
            assert stream == "s"
            first = at.last_seq
        assert first == 0 or second - (first - 1) >= AGE  # nothing is trimmed too early
        assert second - first <= AGE + 2 * AGE // SAMPLES + 1


def test_a_stream_that_nothing_is_written_to_ages_out_whole(tmp_path: Path) -> None:
    ages = AgeIndex(AGE, tmp_path / "ages")
    ages.note("s", result_id(4, 7), 0)
    assert list(ages.too_old((AGE - 1) * SECOND)) == []
    assert list(ages.too_old((AGE + 11) * SECOND)) == [("s", EntryId(4, 2 * 7 + 2))]
    assert "s" not in ages
    assert list(ages.too_old((AGE + 12) * SECOND)) == []


def test_it_outlives_a_restart_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "ages"
    ages = AgeIndex(AGE, path)
    ages.note("s", result_id(1, 3), 5 * SECOND)
    ages.save(0, at_once=True)
    assert list(AgeIndex(AGE, path).too_old((AGE + 16) * SECOND)) == [("s", EntryId(1, 8))]
    path.write_bytes(b"\xc1 nonsense")
    assert list(AgeIndex(AGE, path).too_old((AGE + 16) * SECOND)) == []


def test_a_clock_that_is_set_back_begins_anew(tmp_path: Path) -> None:
    ages = AgeIndex(AGE, tmp_path / "ages")
    ages.note("s", result_id(1, 0), 10_000 * SECOND)
    ages.note("s", result_id(1, 1), 100 * SECOND)
    ages.note("s", result_id(1, 2), 200 * SECOND)
    assert list(ages.too_old((200 + AGE + 11) * SECOND)) == [("s", EntryId(1, 6))]


def test_the_sink_trims_by_age_also_what_an_earlier_run_stored(
    redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = redis_server()
    clock = [1_800_000_000 * SECOND]
    settings = {"max_length": None, "max_age_seconds": 60.0, "now_ns": lambda: clock[0]}
    with sink_at(server, tmp_path, **settings) as sink:
        put_results(sink, range(5))
        put_results(sink, range(3), source_id="yard")
        until(lambda: settled(sink))
    clock[0] += 30 * SECOND
    with sink_at(server, tmp_path, **settings) as sink:
        put_results(sink, range(5, 8))
        until(lambda: settled(sink))
        clock[0] += 32 * SECOND
        until(lambda: server.client.xlen("everyframe:yard/tracks") == 0)  # nothing is written to it any more
        until(lambda: frames_of(server) == [(1, seq, True) for seq in range(5, 8)])
    with sink_at(server, tmp_path, **settings) as sink:
        clock[0] += 61 * SECOND
        until(lambda: server.client.xlen("everyframe:door/tracks") == 0)
        put_results(sink, range(8, 9))
        until(lambda: settled(sink))
        assert sink.complaints() == []
    assert frames_of(server) == [(1, 8, True)]
