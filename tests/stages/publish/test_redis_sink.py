"""What is handed over stands in Redis once, in order, with ids that follow from what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from pipeline.messages import Gap
from pipeline.wire import decode_status, encode_result, select_kind
from stages.publish.redis import RedisSink
from tests.pipeline.wire.samples import make_status, same
from tests.redis_server import RedisServer
from tests.stages.publish.streams import (
    RESULT,
    frames_of,
    missed,
    put,
    put_results,
    result,
    settled,
    sink_at,
    stored,
    until,
)

Start = Callable[..., RedisServer]


def test_results_and_gaps_stand_in_order_as_on_the_wire(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, kinds=("tracks", "all")) as sink:
        put(sink, result(0), 1)
        put(sink, Gap("door", 1, 1, 3, "late"), 2)
        put(sink, result(4), 3, gap_before=3)
        put(sink, result(0, epoch=2), 4)
        until(lambda: settled(sink))
        assert sink.progress().delivered == {"door": 4}
    whole = stored(server, "everyframe:door/all")
    assert [at for at, _, _ in whole] == ["1-1", "1-8", "1-9", "2-1"]
    assert same(whole[0][2], result(0))
    assert whole[1][2] == Gap("door", 1, 1, 3, "late")
    assert [(h.kind, h.session, h.number, h.gap_before) for _, h, _ in whole] == [
        ("all", 7, 1, 0),
        ("all", 7, 2, 0),
        ("all", 7, 3, 3),
        ("all", 7, 4, 0),
    ]
    tracks = server.entries("everyframe:door/tracks")
    assert tracks[0][1][b"payload"] == select_kind(encode_result(result(0)), "tracks")
    assert [at for at, _ in tracks] == ["1-1", "1-8", "1-9", "2-1"]
    assert missed([header for _, header, _ in whole]) == 0


def test_only_the_kinds_that_were_chosen_are_stored(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        sink.write(make_status())
        until(lambda: settled(sink))
    assert server.client.keys("*") == [b"everyframe:door/tracks"]


def test_statuses_are_stored_where_they_are_chosen(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, kinds=("status",), prefix="x:") as sink:
        for _ in range(3):
            sink.write(make_status())
        put_results(sink, range(2))
        until(lambda: settled(sink))
    entries = server.entries("x:door/status")
    assert [decode_status(fields[b"payload"]) for _, fields in entries] == [make_status()] * 3
    assert server.client.keys("*") == [b"x:door/status"]


def test_as_a_plain_sink_it_numbers_by_itself(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        sink.write(result(0))
        sink.write(Gap("door", 1, 1, 1, "late"))
        sink.write(result(0, source_id="yard"))
        until(lambda: settled(sink))
    assert [header.number for _, header, _ in stored(server)] == [1, 2]
    assert [header.number for _, header, _ in stored(server, "everyframe:yard/tracks")] == [1]


def test_streams_are_trimmed_by_length(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, max_length=100) as sink:
        put_results(sink, range(600))
        until(lambda: settled(sink))
        assert 100 <= server.client.xlen("everyframe:door/tracks") < 250


def test_a_frame_that_was_never_handed_over_is_declared_in_its_place(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, kinds=("boxes", "masks")) as sink:
        put(sink, result(0), 1)
        put(sink, result(3), 4, gap_before=1)
        sink.over("door", 1, 6)
        put(sink, result(1, epoch=2), 8)
        until(lambda: settled(sink))
    for kind in ("boxes", "masks"):
        found = stored(server, f"everyframe:door/{kind}")
        assert [(at, item) for at, _, item in found if isinstance(item, Gap)] == [
            ("1-6", Gap("door", 1, 1, 2, "sink_error")),
            ("1-12", Gap("door", 1, 4, 5, "sink_error")),
            ("2-2", Gap("door", 2, 0, 0, "sink_error")),
        ]
        assert [header.gap_before for _, header, item in found if not isinstance(item, Gap)] == [0, 2, 3]
        assert missed([header for _, header, _ in found]) == 0


def test_the_next_run_goes_on_behind_the_last(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: settled(sink))
    with sink_at(server, tmp_path, session=8) as sink:
        for seq in range(2):
            put(sink, result(seq, epoch=2), seq + 1, session=8)
        until(lambda: settled(sink))
        assert sink.complaints() == []
    assert frames_of(server) == [(1, 0, True), (1, 1, True), (1, 2, True), (2, 0, True), (2, 1, True)]


def test_a_recording_that_is_analysed_again_is_kept_as_it_was_and_said(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    for session in (1, 2):
        with sink_at(server, tmp_path, session=session) as sink:
            for seq in range(3):
                put(sink, result(seq), seq + 1, session=session)
            sink.over("door", 1, 3)
            until(lambda: settled(sink))
            assert sink.progress().delivered == {"door": 3}
            told = [str(complaint) for complaint in sink.complaints()]
    assert len(told) == 1
    assert "redis-cli del 'everyframe:door/tracks'" in told[0]
    assert {header.session for _, header, _ in stored(server)} == {1}


def test_larger_ids_of_somebody_else_are_complained_of(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    server.client.xadd("everyframe:door/tracks", {"their": "own"}, id="57-1")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        put_results(sink, range(2), source_id="yard")
        until(lambda: settled(sink))
        complaints = [str(complaint) for complaint in sink.complaints()]
        progress = sink.progress()
    assert len(complaints) == 1
    assert "everyframe:door/tracks holds larger ids than 1-1" in complaints[0]
    assert progress.lost == {"door": 3}
    assert progress.delivered == {"yard": 2}


def test_a_key_of_another_type_costs_its_source_alone(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    server.client.set("everyframe:door/tracks", "x")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(2))
        put_results(sink, range(2), source_id="yard")
        until(lambda: settled(sink))
        assert "does not take entries: WRONGTYPE" in str(sink.complaints()[0])
        assert sink.progress().delivered == {"yard": 2}


def test_an_address_nobody_answers_at_is_no_reason_not_to_start(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    server.kill()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(5))
        until(lambda: sink.progress().waiting_bytes > 0)
        assert not sink.progress().reachable
        assert "takes nothing now" in str(sink.complaints()[0])
    server.start()
    with sink_at(server, tmp_path, session=8) as sink:
        until(lambda: settled(sink))
        assert sink.progress().delivered == {"door": 5}
    assert frames_of(server) == [(1, seq, True) for seq in range(5)]


def test_waiting_for_redis_costs_nothing_and_is_noticed_to_be_over(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    server.kill()
    with sink_at(server, tmp_path) as sink:
        begun, tried = time.process_time(), sink._retry_at
        until(lambda: sink._retry_at > tried + 3.0)  # tried again and again meanwhile
        assert time.process_time() - begun < 1.5
        server.start()
        until(lambda: sink.progress().reachable)


def test_a_wrong_password_is_refused_and_not_shown(
    redis_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server(tcp=True, requirepass="right-canary")
    monkeypatch.setenv("REDIS", "wrong-canary")
    server.url = server.url.replace("redis://", "redis://:${REDIS}@")
    with pytest.raises(SinkError) as refused:
        sink_at(server, tmp_path)
    assert "canary" not in str(refused.value)
    monkeypatch.setenv("REDIS", "right-canary")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(2))
        until(lambda: sink.progress().delivered == {"door": 2})


def test_two_runs_do_not_share_a_spool(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path), pytest.raises(SinkError, match="in use by another run"):
        sink_at(server, tmp_path)


def test_closed_it_takes_nothing(redis_server: Start, tmp_path: Path) -> None:
    sink: RedisSink = sink_at(redis_server(), tmp_path)
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(RESULT)
