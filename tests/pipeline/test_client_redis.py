"""A reader of Redis Streams gets what was stored, once, and knows what it did not get."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pipeline.client import Subscriber
from pipeline.errors import UsageError, WireError
from pipeline.messages import FrameResult, Gap, Item
from pipeline.wire import encode_result
from stages.publish.redis import RedisSink
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.wire.samples import make_status, same
from tests.redis_server import RedisServer
from tests.stages.publish.streams import RESULT, SESSION, put, put_results, result, settled, sink_at, until

PATIENCE_SECONDS = 30.0
SHORT_SECONDS = 0.3  # to see that nothing comes
STREAM = "everyframe:door/tracks"
Connect = Callable[..., Subscriber]


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def sink(server: RedisServer, tmp_path: Path) -> Iterator[RedisSink]:
    with sink_at(server, tmp_path, kinds=("tracks", "all", "status"), max_length=1_000_000) as sink:
        yield sink


@pytest.fixture
def connect(server: RedisServer) -> Iterator[Connect]:
    with ExitStack() as opened:

        def connected(*topics: str, **keywords: Any) -> Subscriber:
            return opened.enter_context(Subscriber(server.url, topics or ["door/tracks"], **keywords))

        yield connected


def store(sink: RedisSink, seqs: range, **keywords: Any) -> None:
    put_results(sink, seqs, **keywords)
    until(lambda: settled(sink))


def item_of(subscriber: Subscriber) -> Item:
    item = subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
    assert item is not None, "nothing came"
    return item


def seqs_of(subscriber: Subscriber, count: int) -> list[int]:
    return [item_of(subscriber).seq for _ in range(count)]  # type: ignore[union-attr]


def nothing_comes(subscriber: Subscriber) -> bool:
    return subscriber.receive(timeout_seconds=SHORT_SECONDS) is None


def test_from_the_beginning_everything_comes_as_it_was(sink: RedisSink, connect: Connect) -> None:
    put(sink, result(0), 1)
    put(sink, Gap("door", 1, 1, 2, "late"), 2)
    put(sink, result(3), 3, gap_before=2)
    until(lambda: settled(sink))
    subscriber = connect("door/all", start="beginning", timeout_seconds=PATIENCE_SECONDS)
    first, second, third = islice(subscriber.items(), 3)
    assert same(first, result(0))
    assert second == Gap("door", 1, 1, 2, "late")
    assert isinstance(third, FrameResult)
    assert (third.seq, third.gap_before) == (3, 2)
    assert (subscriber.missed, subscriber.gap_frames) == (0, 2)
    count = subscriber.statistics().topics["door/all"]
    assert (count.received, count.gaps, count.sessions) == (3, 1, 1)


def test_by_default_it_reads_from_now_on(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(3))
    subscriber = connect()
    assert nothing_comes(subscriber)
    store(sink, range(3, 5))
    assert seqs_of(subscriber, 2) == [3, 4]
    assert subscriber.missed == 0


def test_from_an_id_on(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(6))
    assert seqs_of(connect(start="1-7"), 3) == [3, 4, 5]


def test_a_star_finds_streams_also_those_that_come_later(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(2))
    subscriber = connect("*/tracks", start="beginning")
    assert seqs_of(subscriber, 2) == [0, 1]
    store(sink, range(2), source_id="yard")
    assert [item_of(subscriber).source_id for _ in range(2)] == ["yard", "yard"]
    assert set(subscriber.statistics().topics) == {"door/tracks", "yard/tracks"}


def test_every_kind_of_a_source_and_statuses(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(1))
    sink.write(make_status())
    until(lambda: settled(sink))
    subscriber = connect("door/", start="beginning")
    items = [item_of(subscriber) for _ in range(3)]
    assert make_status() in items
    assert sum(isinstance(item, FrameResult) for item in items) == 2


def test_what_was_trimmed_away_is_missed(server: RedisServer, sink: RedisSink, connect: Connect) -> None:
    subscriber = connect(start="beginning")
    store(sink, range(40))
    assert seqs_of(subscriber, 5) == [0, 1, 2, 3, 4]
    for seq in subscriber:  # what was already read ahead
        if seq.seq == 15:
            break
    store(sink, range(40, 60))
    server.client.xtrim(STREAM, maxlen=10, approximate=False)
    assert item_of(subscriber).seq >= 16  # type: ignore[union-attr]
    while (item := subscriber.receive(timeout_seconds=SHORT_SECONDS)) is not None:
        last = item
    assert last.seq == 59  # type: ignore[union-attr]
    count = subscriber.statistics().topics["door/tracks"]
    assert count.missed > 0
    assert count.received + count.missed == 60


def test_it_waits_for_a_redis_that_is_not_there_yet_and_goes_on_after_a_restart(
    redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = redis_server(appendonly="yes", appendfsync="always")
    server.kill()
    with Subscriber(server.url, ["door/tracks"], start="beginning") as subscriber:
        assert nothing_comes(subscriber)
        server.start()
        with sink_at(server, tmp_path, timeout_seconds=10.0) as sink:
            store(sink, range(3))
            assert seqs_of(subscriber, 3) == [0, 1, 2]
            server.kill()
            assert nothing_comes(subscriber)
            server.start()
            store(sink, range(3, 6))
            assert seqs_of(subscriber, 3) == [3, 4, 5]
            assert subscriber.missed == 0


def test_close_ends_an_iteration_in_another_thread(connect: Connect) -> None:
    subscriber = connect()
    came: list[FrameResult] = []
    begun = threading.Event()

    def read() -> None:
        begun.set()
        came.extend(subscriber)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    subscriber.close()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert came == []
    assert subscriber.receive() is None


def test_an_entry_of_another_make_raises_and_the_next_is_read(
    server: RedisServer, sink: RedisSink, connect: Connect
) -> None:
    server.client.xadd(STREAM, {"their": "own"}, id="0-1")
    store(sink, range(1))
    subscriber = connect(start="beginning")
    with pytest.raises(WireError):
        item_of(subscriber)
    assert seqs_of(subscriber, 1) == [0]
    assert subscriber.statistics().malformed == 1


def test_a_wrong_password_is_told_and_not_shown(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server(tcp=True, requirepass="right-canary")
    address = server.url.replace("redis://", "redis://:wrong-canary@")
    with Subscriber(address, ["door"]) as subscriber, pytest.raises(UsageError) as refused:
        subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "keywords", "said"),
    [
        ("tcp://127.0.0.1:9", {"group": "g"}, "group: only what Redis keeps"),
        ("tcp://127.0.0.1:9", {"start": "now"}, "start: only what Redis keeps"),
        ("redis://h", {"start": "yesterday"}, "start: 'yesterday' is not an id"),
        ("redis://h", {"consumer": "c"}, "consumer: it needs a group"),
        ("redis://h", {"group": ""}, "group: ''"),
        ("redis://h", {"redis": "redis://h"}, "redis: for a reader of ZeroMQ"),
        ("redis://h", {"key": "x"}, "server_key, key"),
        ("redis://h", {"topics": ["door/masks.coco"]}, "kind 'masks.coco' is not kept in Redis"),
    ],
)
def test_what_does_not_go_together_is_refused(address: str, keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Subscriber(address, **{"topics": ["door"], **keywords})


# Groups


def test_a_group_resumes_where_it_stopped(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(10))
    with connect(start="beginning", group="billing") as first:
        assert seqs_of(first, 4) == [0, 1, 2, 3]  # the last was not yet handled
    second = connect(group="billing", claim_after_seconds=0.2)
    came = sorted(seqs_of(second, 7))
    assert came == [3, 4, 5, 6, 7, 8, 9]
    assert nothing_comes(second)
    assert second.missed == 0


def test_a_consumer_with_a_name_goes_on_at_once_with_what_it_held(sink: RedisSink, connect: Connect) -> None:
    store(sink, range(4))
    keywords = {"group": "billing", "consumer": "one", "claim_after_seconds": 3600.0}
    with connect(start="beginning", **keywords) as first:
        assert seqs_of(first, 2) == [0, 1]
    assert seqs_of(connect(**keywords), 3) == [1, 2, 3]


def test_two_of_a_group_share_the_work(sink: RedisSink, connect: Connect) -> None:
    one, two = (connect(start="beginning", group="billing") for _ in range(2))
    assert nothing_comes(one)
    assert nothing_comes(two)
    store(sink, range(60))
    seqs: list[int] = []
    while len(seqs) < 60:
        for subscriber in (one, two):
            item = subscriber.receive(timeout_seconds=SHORT_SECONDS)
            seqs += [] if item is None else [item.seq]  # type: ignore[union-attr]
    assert sorted(seqs) == list(range(60))
    assert min(s.statistics().received for s in (one, two)) > 0
    assert one.missed == two.missed == 0


def test_what_cannot_be_read_is_put_aside(server: RedisServer, sink: RedisSink, connect: Connect) -> None:
    server.client.xadd(STREAM, {"header": "x", "payload": "y"}, id="0-1")
    store(sink, range(1))
    subscriber = connect(start="beginning", group="billing")
    with pytest.raises(WireError):
        item_of(subscriber)
    assert seqs_of(subscriber, 1) == [0]
    ((_, fields),) = server.entries(f"{STREAM}/dead")
    assert (fields[b"id"], fields[b"group"], fields[b"header"]) == (b"0-1", b"billing", b"x")


def test_a_name_made_up_goes_with_its_reader(server: RedisServer, sink: RedisSink, connect: Connect) -> None:
    store(sink, range(2))
    with connect(start="beginning", group="billing") as subscriber:
        assert seqs_of(subscriber, 2) == [0, 1]
        assert nothing_comes(subscriber)  # the last is handled
        assert server.client.xinfo_groups(STREAM)[0]["consumers"] == 1
    assert server.client.xinfo_groups(STREAM)[0]["consumers"] == 0


def test_a_stream_that_was_deleted_begins_anew(server: RedisServer, sink: RedisSink, connect: Connect) -> None:
    subscriber = connect(start="beginning", group="billing")
    store(sink, range(2))
    assert seqs_of(subscriber, 2) == [0, 1]
    server.client.delete(STREAM)
    store(sink, range(2, 4))
    assert seqs_of(subscriber, 2) == [2, 3]


# Both


def test_what_zeromq_lost_is_fetched_from_redis_in_its_place(server: RedisServer, sink: RedisSink) -> None:
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0", session=SESSION) as publisher,
        Subscriber(publisher.address, ["door/tracks"], redis=server.url) as subscriber,
    ):
        assert publisher.socket.poll(PATIENCE_SECONDS * 1_000)
        publisher.poll()
        lost = {2, 3, 4, 8}
        for seq in range(10):
            coded = encode_result(replace(RESULT, epoch=1, seq=seq))
            if seq in lost:
                publisher._next_number(b"door")  # as if a full queue had dropped it
            else:
                publisher.publish_result("door", coded)
            put(sink, result(seq), seq + 1)
        until(lambda: settled(sink))
        assert seqs_of(subscriber, 10) == list(range(10))
        statistics = subscriber.statistics()
        assert (statistics.fetched, statistics.missed, statistics.received) == (4, 0, 10)


def test_what_redis_does_not_have_either_stays_missed(server: RedisServer, sink: RedisSink) -> None:
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0", session=SESSION) as publisher,
        Subscriber(publisher.address, ["door/boxes"], redis=server.url) as subscriber,
    ):
        assert publisher.socket.poll(PATIENCE_SECONDS * 1_000)
        publisher.poll()
        for seq in (0, 3):
            publisher.publish_result("door", encode_result(replace(RESULT, epoch=1, seq=seq)))
            publisher._next_number(b"door")
        assert seqs_of(subscriber, 2) == [0, 3]
        assert (subscriber.missed, subscriber.statistics().fetched) == (1, 0)


def test_why_nothing_can_be_fetched_is_told(redis_server: Callable[..., RedisServer]) -> None:
    closed = redis_server(tcp=True, requirepass="right-one").url.replace("redis://", "redis://:canary-canary@")
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0", session=SESSION) as publisher,
        Subscriber(publisher.address, ["door/tracks"], redis=closed) as subscriber,
    ):
        assert publisher.socket.poll(PATIENCE_SECONDS * 1_000)
        publisher.poll()
        for seq in (0, 2):
            publisher.publish_result("door", encode_result(replace(RESULT, epoch=1, seq=seq)))
            publisher._next_number(b"door")
        assert seqs_of(subscriber, 2) == [0, 2]
        assert subscriber.missed == 1
        fault = subscriber.statistics().fault
    assert "invalid username-password pair" in fault
    assert "canary" not in fault


def test_what_a_close_breaks_off_is_the_end_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py raises `ValueError` where its buffer is closed under a read."""
    subscriber = Subscriber("redis://127.0.0.1:9/0", ["door/tracks"])
    transport = subscriber._transport

    def broken_off(_: float) -> None:
        transport.interrupt()
        raise ValueError("I/O operation on closed file.")

    def broken(_: float) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(transport, "_next", broken)
    with pytest.raises(ValueError, match="a fault of ours"):
        subscriber.receive()
    monkeypatch.setattr(transport, "_next", broken_off)
    assert subscriber.receive() is None
    subscriber.close()
