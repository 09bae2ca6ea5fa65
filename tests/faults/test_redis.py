"""Redis goes away, forgets, is full, or answers into nothing: every frame stands in its stream once, or is declared.

`EVERYFRAME_REDIS_DOWN_SECONDS=300 pytest tests/faults/test_redis.py -k goes_away` is the long form of the first row.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from pipeline.messages import Gap
from pipeline.wire.streams import HEADER
from tests.cameras.proxy import FaultProxy, Line
from tests.faults.running import running
from tests.redis_server import RedisServer
from tests.stages.publish.streams import (
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
Seen = Callable[[str], None]
STREAM = "everyframe:door/tracks"
DOWN_SECONDS = float(os.environ.get("EVERYFRAME_REDIS_DOWN_SECONDS", "1"))
KEPT = {"appendonly": "yes", "appendfsync": "always"}
EVICTING = ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl", "allkeys-lfu"]


@pytest.mark.fault("Redis down, 1 s to 5 min", promise="bounded spool on disk; order kept")
def test_redis_goes_away_and_comes_back(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(**KEPT)
    with sink_at(server, tmp_path, max_length=1_000_000) as sink:
        put_results(sink, range(50))
        until(lambda: settled(sink))
        server.kill()
        down_until, seq = time.monotonic() + DOWN_SECONDS, 50
        while time.monotonic() < down_until or seq < 300:
            put(sink, result(seq), seq + 1)
            seq += 1
            time.sleep(0.001)
        until(lambda: sink.progress().waiting_bytes > 0)
        spooled = sink.progress().waiting_bytes
        server.start()
        started = time.monotonic()
        until(lambda: settled(sink))
        took = time.monotonic() - started
        assert sink.progress().delivered == {"door": seq}
    assert frames_of(server) == [(1, one, True) for one in range(seq)]
    seen(f"{seq - 50} results waited in up to {spooled / 1e6:.1f} MB and stood in order {took:.1f} s after it was back")


@pytest.mark.fault(
    "Redis down for longer than the spool lasts", promise="the oldest become gaps, declared in their place"
)
def test_a_full_spool_becomes_gaps(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(**KEPT)
    with sink_at(server, tmp_path, max_length=1_000_000, spool_mb=1) as sink:
        put_results(sink, range(10))
        until(lambda: settled(sink))
        server.kill()
        for seq in range(10, 3000):
            put(sink, result(seq), seq + 1)
            if seq % 500 == 0:
                until(lambda: sink.progress().waiting_bytes > 0)
        sink.over("door", 1, 3000)
        put(sink, result(0, epoch=2), 3001)
        until(lambda: sum(sink.progress().lost.values()) > 1000)
        assert sink.progress().waiting_bytes <= 1024 * 1024
        server.start()
        until(lambda: settled(sink))
        lost = sum(sink.progress().lost.values())
        assert sink.progress().delivered == {"door": 3001 - lost}
    frames = frames_of(server)
    assert [(epoch, seq) for epoch, seq, _ in frames] == [*((1, seq) for seq in range(3000)), (2, 0)]
    assert sum(not has_result for _, _, has_result in frames) == lost
    gaps = [item for _, _, item in stored(server) if isinstance(item, Gap)]
    assert {gap.reason for gap in gaps} == {"sink_error"}
    assert missed([header for _, header, _ in stored(server)]) == 0
    seen(f"{lost} of 3001 results did not fit into 1 MB: declared in {len(gaps)} gap(s), the rest in order")


@pytest.mark.fault(
    "Redis down, and the publisher killed meanwhile", promise="the spool outlives it; every frame accounted"
)
def test_the_publisher_dies_while_redis_is_away(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(**KEPT)
    redis = {"url": server.url, "max_length": 1_000_000, "timeout_seconds": 2.0}
    with running(tmp_path, "a=rtsp://fake?fps=50", redis=redis) as run:
        run.until(lambda: server.client.xlen("everyframe:a/tracks") > 5)
        server.kill()
        run.until(lambda: run.engine.sink_counts.deferred["redis"].waiting_bytes > 10_000)
        run.strike("publisher", signal.SIGKILL)
        run.until(lambda: run.listener.epoch("a") == 2)
        server.start()
        run.until(lambda: any(epoch == 2 for epoch, _, _ in frames_of(server, "everyframe:a/tracks")))
        run.until(lambda: run.engine.sink_counts.deferred["redis"].waiting_bytes == 0)
        run.stop()
        captured = run.status("a").captured
    frames = frames_of(server, "everyframe:a/tracks")
    assert len(frames) == captured
    assert [(epoch, seq) for epoch, seq, _ in frames] == sorted({(epoch, seq) for epoch, seq, _ in frames})
    without = sum(not has_result for _, _, has_result in frames)
    seen(f"{captured} frames in the stream once and in order, {without} of them in gaps")


@pytest.mark.fault("the whole pipeline restarts", promise="epochs only grow: a new epoch, never a collision")
def test_the_pipeline_starts_again(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    ends = []
    for _ in range(2):
        with running(tmp_path, "a=rtsp://fake?fps=50", redis={"url": server.url, "max_length": 1_000_000}) as run:
            before = server.client.xlen("everyframe:a/tracks")
            run.until(lambda before=before: server.client.xlen("everyframe:a/tracks") > before + 5)  # type: ignore[misc]
            run.stop()
            assert run.engine.complaints == ()
        ends.append(server.entries("everyframe:a/tracks")[-1][0])
    frames = frames_of(server, "everyframe:a/tracks")
    assert [(epoch, seq) for epoch, seq, _ in frames] == sorted({(epoch, seq) for epoch, seq, _ in frames})
    assert {epoch for epoch, _, _ in frames} == {1, 2}
    seen(f"the first run ended at {ends[0]}, the second at {ends[1]}; no id was refused")


@pytest.mark.fault("Redis restored from elsewhere holds larger ids", promise="a complaint that says what mends it")
def test_larger_ids_are_complained_of(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    server.client.xadd("everyframe:a/tracks", {"their": "own"}, id="1000-1")
    with running(tmp_path, "a=rtsp://fake?fps=50", redis={"url": server.url}) as run:
        run.until(lambda: len(run.engine.complaints) > 0)
        run.stop()
        (complaint,) = run.engine.complaints
        assert "larger ids" in complaint
        assert "redis-cli del 'everyframe:a/tracks'" in complaint
        assert run.engine.sink_counts.failed["redis"]["a"] > 0
    seen(complaint[:90])


@pytest.mark.fault("reply lost after XADD", promise="explicit ids from identity, no blind retry: nothing twice")
@pytest.mark.parametrize("ends", ["the time for an answer", "the connection"])
def test_a_reply_is_lost(ends: str, redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(tcp=True)
    with FaultProxy(server.port) as line:
        direct, server.url = server.url, line.through(server.url)
        timeout = 0.5 if ends == "the time for an answer" else 30.0
        with sink_at(server, tmp_path, timeout_seconds=timeout, max_length=1_000_000) as sink:
            put_results(sink, range(5))
            until(lambda: settled(sink))
            line.set(Line(silent=True))
            put_results(sink, range(5, 10))
            until(lambda: server.client.xlen(STREAM) > 5)  # written, and nobody was told
            if ends == "the connection":
                line.reset()
            until(lambda: sink.progress().waiting_bytes > 0 and not sink.progress().reachable)
            put_results(sink, range(10, 15))
            line.set(Line())
            until(lambda: settled(sink))
            assert sink.progress().delivered == {"door": 15}
            assert sink.progress().lost == {}
        server.url = direct
    assert frames_of(server) == [(1, seq, True) for seq in range(15)]
    seen(f"{ends} ended in doubt: 15 results stored once each, over {line.connections} connections")


@pytest.mark.fault("Redis out of memory", promise="waits on disk as if it were away; inference goes on")
def test_memory_is_full(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, kinds=("boxes", "tracks")) as sink:
        put_results(sink, range(20))
        until(lambda: settled(sink))
        server.client.config_set("maxmemory", 1)
        put_results(sink, range(20, 60))
        until(lambda: sink.progress().waiting_bytes > 0)
        complaint = str(sink.complaints()[0])
        server.client.config_set("maxmemory", 0)
        until(lambda: settled(sink))
    for kind in ("boxes", "tracks"):
        assert frames_of(server, f"everyframe:door/{kind}") == [(1, seq, True) for seq in range(60)]
    assert "used memory > 'maxmemory'" in complaint
    seen("40 results waited on disk and stood in order in both streams once there was room")


@pytest.mark.fault(
    "an eviction policy", promise="refuses to start on anything but noeviction, with the command that mends it"
)
@pytest.mark.parametrize("policy", EVICTING)
def test_an_eviction_policy_is_refused(policy: str, redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(maxmemory_policy=policy)
    with pytest.raises(SinkError, match="redis-cli config set maxmemory-policy noeviction") as refused:
        sink_at(server, tmp_path)
    assert policy in str(refused.value)
    server.client.config_set("maxmemory-policy", "noeviction")  # the command
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: sink.progress().delivered == {"door": 3})
    seen(f"{policy} refused; started after the command it named")


@pytest.mark.fault("an eviction policy, and CONFIG is not permitted", promise="read from INFO memory instead")
def test_the_policy_is_found_without_config(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(tcp=True, maxmemory_policy="allkeys-lru")
    server.client.acl_setuser(
        "everyframe",
        enabled=True,
        passwords=["+secret"],
        keys=["everyframe:*"],
        categories=["+@all"],
        commands=["-config"],
    )
    server.url = server.url.replace("redis://", "redis://everyframe:secret@")
    with pytest.raises(SinkError, match="maxmemory-policy is 'allkeys-lru'"):
        sink_at(server, tmp_path)
    server.client.config_set("maxmemory-policy", "noeviction")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: sink.progress().delivered == {"door": 3})
    seen("refused by what INFO says; started under noeviction, with a user that may not CONFIG")


@pytest.mark.fault(
    "an eviction policy set while running", promise="nothing is written until it is mended; nothing is lost"
)
def test_the_policy_changes_while_redis_is_away(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server(**KEPT)
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(5))
        until(lambda: settled(sink))
        server.kill()
        server._settings["maxmemory_policy"] = "allkeys-lru"
        server.start()
        put_results(sink, range(5, 10))
        until(lambda: sink.progress().waiting_bytes > 0)
        server.client.config_set("maxmemory-policy", "noeviction")
        until(lambda: settled(sink))
    assert frames_of(server) == [(1, seq, True) for seq in range(10)]
    seen("5 results waited until the policy was mended")


@pytest.mark.fault("failover loses acknowledged writes", promise="detected and declared, never promised away")
@pytest.mark.parametrize("kept", [0, 10])
def test_redis_forgets_what_it_acknowledged(kept: int, redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(10))
        sink.over("door", 1, 10)
        until(lambda: settled(sink))
        if kept:
            server.client.save()  # what another server would have by the time it takes over
        put_results(sink, range(10, 20))
        put(sink, Gap("door", 1, 20, 24, "late"), 21)
        put(sink, result(0, epoch=2), 22)
        until(lambda: settled(sink))
        server.kill()
        server.start()
        put(sink, result(1, epoch=2), 23)
        until(lambda: settled(sink) and server.client.xlen(STREAM) > kept)
        put(sink, result(2, epoch=2), 24)
        until(lambda: sink.progress().delivered == {"door": 24})
        told = [str(complaint) for complaint in sink.complaints()]
    frames = frames_of(server)
    assert [(epoch, seq) for epoch, seq, _ in frames] == [*((1, seq) for seq in range(25)), (2, 0), (2, 1), (2, 2)]
    assert [has_result for _, _, has_result in frames] == [True] * kept + [False] * (26 - kept) + [True] * 2
    assert any(f"Redis has lost {26 - kept} frames" in text for text in told), told
    assert missed([header for _, header, _ in stored(server)]) == 0
    seen(f"{26 - kept} acknowledged frames gone: declared as gaps, and complained of")


@pytest.mark.fault("Redis suspended (SIGSTOP)", promise="nothing that hands results over waits for it")
def test_redis_hangs(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path, timeout_seconds=0.5) as sink:
        put_results(sink, range(5))
        until(lambda: settled(sink))
        server.suspend()
        longest = 0.0
        for seq in range(5, 505):
            started = time.thread_time()
            put(sink, result(seq), seq + 1)
            longest = max(longest, time.thread_time() - started)
        until(lambda: sink.progress().waiting_bytes > 0)
        server.resume()
        until(lambda: settled(sink))
    assert frames_of(server) == [(1, seq, True) for seq in range(505)]
    assert all(fields[HEADER] for _, fields in server.entries(STREAM))
    seen(f"handing a result over took at most {longest * 1e3:.1f} ms of processor time meanwhile; 505 stored once")
