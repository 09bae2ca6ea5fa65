"""Readers that die, lag or are slow: what they held comes to others, what they could not have is counted."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.client import Subscriber
from pipeline.errors import WireError
from pipeline.messages import FrameResult
from pipeline.wire import Limits, encode_result
from pipeline.wire.streams import HEADER, PAYLOAD
from stages.publish.zeromq import ZeroMQPublisher
from tests.cameras.proxy import FaultProxy, Line
from tests.redis_server import RedisServer
from tests.stages.publish.streams import SESSION, put_results, result, settled, sink_at, until

Start = Callable[..., RedisServer]
Seen = Callable[[str], None]
ROOT = Path(__file__).parents[2]
STREAM = "everyframe:door/tracks"
PATIENCE_SECONDS = 60.0
MEGABYTE = 1 << 20

CONSUMER = """
import sys
from pipeline import Subscriber
reader = Subscriber(sys.argv[1], ["door/tracks"], group="billing", start="beginning", claim_after_seconds=3600)
for n, result in enumerate(reader, 1):
    print(result.seq, flush=True)
    if n == int(sys.argv[2]):
        sys.stdin.read()
"""


def consumer(
    server: RedisServer, *, items: int, claim_after_seconds: float = 3600.0
) -> tuple[list[int], Callable[[], None]]:
    """A reader in a process of its own that handles all but the last of so many items; and what kills it."""
    command = [sys.executable, "-c", CONSUMER, server.url, str(items)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    seqs = [int(process.stdout.readline()) for _ in range(items)]

    def kill() -> None:
        process.kill()
        process.communicate()

    return seqs, kill


@pytest.mark.fault("consumer dies holding entries", promise="claimed after an idle time; nothing handled comes again")
def test_a_dead_consumers_entries_go_to_another(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(30))
        until(lambda: settled(sink))
    handled, kill = consumer(server, items=4)
    held = server.client.xpending(STREAM, "billing")["pending"]
    kill()
    with Subscriber(server.url, ["door/tracks"], group="billing", claim_after_seconds=0.5) as heir:
        seqs = []
        while set(seqs) != set(range(3, 30)):
            item = heir.receive(timeout_seconds=PATIENCE_SECONDS)
            assert isinstance(item, FrameResult)
            seqs.append(item.seq)
        assert heir.receive(timeout_seconds=0.2) is None  # the last is handled
        statistics = heir.statistics()
    assert handled == [0, 1, 2, 3]
    assert sorted(seqs) == list(range(3, 30))
    assert statistics.group is not None
    assert statistics.group.claimed == held
    assert server.client.xpending(STREAM, "billing")["pending"] == 0
    seen(f"{held} entries were held by the dead consumer, claimed and handled once each; {statistics.missed} missed")


@pytest.mark.fault("an entry kills every consumer", promise="put aside after N deliveries; the others are handled")
def test_an_entry_that_nobody_survives_is_put_aside(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: settled(sink))
    keywords = {"group": "billing", "start": "beginning", "claim_after_seconds": 0.05, "dead_after": 3}
    came: list[int] = []
    for _ in range(40):
        with Subscriber(server.url, ["door/tracks"], **keywords) as reader:  # type: ignore[arg-type]
            while (item := reader.receive(timeout_seconds=0.5)) is not None:
                assert isinstance(item, FrameResult)
                came.append(item.seq)
                if item.seq == 1:
                    break  # as if it had died of it: never handled
        if server.client.xlen(f"{STREAM}/dead"):
            break
    ((_, fields),) = server.entries(f"{STREAM}/dead")
    assert fields[b"id"] == b"1-3"
    assert fields[b"deliveries"] == b"3"
    assert came.count(1) == 3
    assert sorted({seq for seq in came if seq != 1}) == [0, 2]
    assert server.entries(STREAM)[1][1][b"payload"] == fields[b"payload"]
    seen(f"delivered {came.count(1)} times, then put into {STREAM}/dead; the others came")


@pytest.mark.fault(
    "trimming overtakes a reader", promise="an alarm when the lag nears the trim point; what went is missed"
)
def test_trimming_overtakes_a_group(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    alarms: list[str] = []
    group = Subscriber(server.url, ["door/tracks"], group="billing", start="beginning", alarm=alarms.append)
    with sink_at(server, tmp_path, max_length=200) as sink, group as reader:
        put_results(sink, range(5))
        until(lambda: settled(sink))
        came = [reader.receive(timeout_seconds=PATIENCE_SECONDS) for _ in range(5)]
        assert reader.receive(timeout_seconds=0.2) is None
        put_results(sink, range(5, 800))
        until(lambda: settled(sink))
        while (item := reader.receive(timeout_seconds=1.5)) is not None:
            came.append(item)
        statistics = reader.statistics()
    seqs = [item.seq for item in came if isinstance(item, FrameResult)]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == 799
    assert len(seqs) + statistics.missed == 800
    assert statistics.missed > 300
    assert statistics.group is not None
    assert statistics.group.alarms == len(alarms) == 1
    assert "trimming" in alarms[0]
    seen(f"told at a lag of {alarms[0].split()[3]}; {len(seqs)} of 800 came, {statistics.missed} counted as missed")


@pytest.mark.fault("trimming takes what a dead consumer held", promise="counted as missed by whoever claims it")
def test_trimming_takes_held_entries(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(10))
        until(lambda: settled(sink))
    _, kill = consumer(server, items=1)
    kill()
    held = server.client.xpending(STREAM, "billing")["pending"]
    server.client.xtrim(STREAM, maxlen=0, approximate=False)
    with Subscriber(server.url, ["door/tracks"], group="billing", claim_after_seconds=0.2) as heir:
        until(lambda: heir.receive(timeout_seconds=0.2) is None and heir.missed >= held)
        assert heir.missed == held == 10
    assert server.client.xpending(STREAM, "billing")["pending"] == 0
    seen(f"{held} entries held by the dead consumer were trimmed: {held} missed")


@pytest.mark.fault("slow ZeroMQ reader", promise="counts what it missed, and fetches the rest from Redis")
def test_a_slow_reader_gets_the_rest_from_redis(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    server = redis_server()
    sent = 1_500
    coded = [encode_result(result(seq)) for seq in range(sent)]
    with (
        sink_at(server, tmp_path, max_length=None, max_age_seconds=3600.0) as sink,
        ZeroMQPublisher(f"ipc://@everyframe-test-{uuid4()}", session=SESSION, high_water_mark=2) as publisher,
        Subscriber(publisher.address, ["door/tracks"], redis=server.url, high_water_mark=2) as reader,
    ):
        put_results(sink, range(sent + 100))
        until(lambda: settled(sink))
        assert publisher.socket.poll(int(PATIENCE_SECONDS * 1_000))
        publisher.poll()
        for payload in coded:
            publisher.publish_result("door", payload)
        seqs: list[int] = []
        for seq in range(sent, sent + 100):  # what got stuck on the way comes first
            publisher.publish_result("door", encode_result(result(seq)))
            while (item := reader.receive(timeout_seconds=0.2)) is not None:
                assert isinstance(item, FrameResult)
                seqs.append(item.seq)
            if seqs[-1:] >= [sent]:
                break
        statistics = reader.statistics()
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > sent
    assert statistics.missed == 0
    assert statistics.fetched > 0
    seen(f"{len(seqs)} sent and read in order, {statistics.fetched} of them from Redis; 0 missed")


@pytest.mark.fault("a reader's answer is lost", promise="what it held comes in its place, and none waits to be claimed")
def test_an_answer_that_is_lost_comes_again_in_its_place(
    redis_server: Start, tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.client.redis_group.LOOK_SECONDS", 3_600)  # its answer would be the one that is lost
    server = redis_server(tcp=True)
    with (
        FaultProxy(server.port) as line,
        sink_at(server, tmp_path) as sink,
        Subscriber(
            line.through(server.url), ["door/tracks"], group="billing", start="beginning", claim_after_seconds=3_600
        ) as reader,
    ):
        put_results(sink, range(3))
        seqs: list[int] = []

        def take() -> None:
            item = reader.receive(timeout_seconds=PATIENCE_SECONDS)
            assert isinstance(item, FrameResult)
            seqs.append(item.seq)

        for _ in range(3):
            take()
        assert reader.receive(timeout_seconds=0.2) is None
        line.set(Line(silent=True))
        put_results(sink, range(3, 9))
        until(lambda: settled(sink))
        waiting = threading.Thread(target=take)
        waiting.start()
        until(lambda: server.client.xpending(STREAM, "billing")["pending"] >= 6)  # given out, and not arrived
        put_results(sink, range(9, 12))
        until(lambda: settled(sink))
        line.set(Line())
        line.reset()
        waiting.join(PATIENCE_SECONDS)
        for _ in range(8):
            take()
        statistics = reader.statistics()
    assert seqs == list(range(12))
    assert statistics.group is not None
    assert statistics.group.claimed == 0
    seen("6 entries given out in an answer that was lost came next, before the 3 behind them")


@pytest.mark.fault("hostile bytes: an entry of hundreds of MB", promise="read past, counted; what follows comes")
@pytest.mark.parametrize("group", [None, "billing"])
def test_an_entry_that_is_far_too_large_is_left_behind(
    redis_server: Start, tmp_path: Path, seen: Seen, group: str | None
) -> None:
    server = redis_server()
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: settled(sink))
        server.client.xadd(STREAM, {HEADER: b"x", PAYLOAD: bytes(64 * MEGABYTE)}, id="1-6")
        put_results(sink, range(3, 6))
        until(lambda: settled(sink))
    limits = Limits(message_bytes=MEGABYTE)
    with Subscriber(server.url, "door/tracks", start="beginning", group=group, limits=limits) as subscriber:
        tracemalloc.start()
        try:
            for _ in range(3):
                assert subscriber.receive(timeout_seconds=PATIENCE_SECONDS) is not None
            with pytest.raises(WireError, match="message of 67108864 bytes; at most 1048576 are accepted"):
                subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
            after = [subscriber.receive(timeout_seconds=PATIENCE_SECONDS) for _ in range(3)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [item.seq for item in after if isinstance(item, FrameResult)] == [3, 4, 5]
        assert (subscriber.statistics().malformed, subscriber.missed) == (1, 0)
    assert peak < 16 * MEGABYTE
    if group is not None:
        (_, put_aside), *none = server.entries(f"{STREAM}/dead")
        assert none == []
        assert (put_aside[b"id"], put_aside[PAYLOAD]) == (b"1-6", b"")
    seen(f"64 MB read past in {peak / MEGABYTE:.1f} MB of memory")


@pytest.mark.fault("hostile bytes: an entry of hundreds of MB", promise="the publisher goes on behind it")
def test_the_publisher_goes_on_behind_such_an_entry(redis_server: Start, tmp_path: Path, seen: Seen) -> None:
    """It looks at the newest entry of a stream when it begins."""
    server = redis_server()
    server.client.xadd(STREAM, {HEADER: b"x", PAYLOAD: bytes(65 * MEGABYTE)}, id="1-1")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(1, 3))
        until(lambda: settled(sink))
        assert sink.progress().delivered == {"door": 2}
    seen("2 of 2 results stored behind an entry of 65 MB")
