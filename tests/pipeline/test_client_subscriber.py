"""A reader gets what was published, in order, and knows what it did not get."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from uuid import uuid4

import pytest
import zmq

from pipeline.client import Subscriber
from pipeline.errors import WireError
from pipeline.messages import FrameResult, Gap, SourceStatus
from pipeline.wire import RESULT_KINDS, Header, encode_gap, encode_header, encode_result, encode_status, topic_of
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.wire.samples import make_result, make_status, same

PATIENCE_SECONDS = 10.0
RESULT = make_result()

Connect = Callable[..., Subscriber]


@pytest.fixture
def publisher() -> Iterator[ZeroMQPublisher]:
    with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:
        yield publisher


@pytest.fixture
def connect(publisher: ZeroMQPublisher) -> Iterator[Connect]:
    """`connect(*topics)`: a subscriber that the publisher knows of."""
    with ExitStack() as opened:

        def connected(*topics: str, **keywords: object) -> Subscriber:
            subscriber = Subscriber(publisher.address, topics, **keywords)  # type: ignore[arg-type]
            opened.enter_context(subscriber)
            await_subscriptions(publisher, len(topics))
            return subscriber

        yield connected


def await_subscriptions(publisher: ZeroMQPublisher, count: int) -> None:
    """Until that many came, in any number of messages."""
    before = publisher.statistics().subscriptions
    deadline = time.monotonic() + PATIENCE_SECONDS
    while publisher.statistics().subscriptions < before + count:
        assert publisher.socket.poll(max(0, int((deadline - time.monotonic()) * 1_000))), "nobody subscribed"
        publisher.poll()


def item_of(subscriber: Subscriber) -> FrameResult | Gap | SourceStatus:
    item = subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
    assert item is not None, "nothing came"
    return item


def numbered(seq: int, **changes: object) -> FrameResult:
    return replace(RESULT, seq=seq, **changes)


def test_results_come_as_they_were(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door/all", timeout_seconds=PATIENCE_SECONDS)
    for seq in range(3):
        publisher.publish_result("door", encode_result(numbered(seq)), gap_before=seq)
    for seq, result in zip(range(3), subscriber, strict=False):
        assert same(result, numbered(seq, gap_before=seq))
    assert subscriber.missed == 0


def test_a_source_alone_means_its_all_and_other_sources_stay_away(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door")
    publisher.publish_result("doorbell", replace(RESULT, source_id="doorbell"))
    publisher.publish_result("door", RESULT)
    assert same(item_of(subscriber), RESULT)


def test_items_give_gaps_and_statuses_in_their_places(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door/boxes", "door/status", timeout_seconds=PATIENCE_SECONDS)
    gap = Gap("door", 2, 1, 3, "backlog")
    publisher.publish_result("door", numbered(0))
    publisher.publish_gap(gap)
    publisher.publish_status(make_status())
    publisher.publish_result("door", numbered(4), gap_before=3)
    first, second, third, last = islice(subscriber.items(), 4)
    assert isinstance(first, FrameResult)
    assert isinstance(last, FrameResult)
    assert (second, third) == (gap, make_status())
    assert (first.gap_before, last.gap_before) == (0, 3)
    assert subscriber.gap_frames == 3
    boxes = subscriber.statistics().topics["door/boxes"]
    assert (boxes.received, boxes.missed, boxes.gaps, boxes.gap_frames, boxes.sessions) == (3, 0, 1, 3, 1)


def test_iterating_gives_results_alone(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door/", timeout_seconds=PATIENCE_SECONDS)
    publisher.publish_gap(Gap("door", 2, 0, 0, "late"))
    publisher.publish_result("door", RESULT)
    publisher.publish_status(make_status())
    publisher.publish_result("door", numbered(99))
    assert [result.seq for result in islice(subscriber, 8)] == [RESULT.seq] * 4 + [99] * 4
    assert subscriber.statistics().received == 13


def test_a_slow_reader_counts_what_it_missed() -> None:
    address = f"ipc://@everyframe-test-{uuid4()}"
    coded = encode_result(make_result(height=270, width=480, segments=30))
    with (
        ZeroMQPublisher(address, high_water_mark=2) as publisher,
        Subscriber(address, ["door/all"], high_water_mark=2) as subscriber,
    ):
        await_subscriptions(publisher, 1)
        sent = 2_000
        for _ in range(sent):
            publisher.publish_result("door", coded)
        while True:  # what got stuck on the way comes first; the numbers add up once the very last one came
            publisher.publish_gap(Gap("door", 2, sent, sent, "late"))
            sent += 1
            while (item := subscriber.receive(timeout_seconds=0.2)) is not None and not isinstance(item, Gap):
                continue
            if isinstance(item, Gap) and item.first_seq == sent - 1:
                break
        count = subscriber.statistics().topics["door/all"]
        assert count.missed > 1_000
        assert count.received + count.missed == sent


def test_a_late_joiner_starts_from_what_it_sees_first(publisher: ZeroMQPublisher, connect: Connect) -> None:
    early = connect("door/tracks")
    for seq in range(5):
        publisher.publish_result("door", numbered(seq))
    late = connect("door/boxes")
    publisher.publish_result("door", numbered(5))
    result = item_of(late)
    assert isinstance(result, FrameResult)
    assert (result.seq, late.missed) == (5, 0)
    assert [item_of(early).seq for _ in range(6)] == list(range(6))  # type: ignore[union-attr]


def test_a_late_joiner_gets_the_last_status_at_once(publisher: ZeroMQPublisher, connect: Connect) -> None:
    publisher.publish_status(make_status("door", "CONNECTING"))
    publisher.publish_status(make_status("door", "STREAMING"))
    first = connect("door/status")
    assert item_of(first) == make_status("door", "STREAMING")
    with Subscriber(publisher.address, ["door/status"]) as second:  # a prefix the publisher knows already
        assert publisher.socket.poll(PATIENCE_SECONDS * 1_000)
        publisher.poll()
        assert item_of(second) == make_status("door", "STREAMING")


def test_a_new_session_is_no_hole(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door/boxes")
    for _ in range(3):
        publisher.publish_result("door", RESULT)
        item_of(subscriber)
    address = publisher.address
    publisher.close()
    with ZeroMQPublisher(address) as successor:
        while successor.statistics().subscriptions == 0:  # a reader subscribes anew while it reads
            assert subscriber.receive(timeout_seconds=0.05) is None
            successor.poll()
        successor.publish_result("yard", RESULT)
        successor.publish_result("door", RESULT)
        item_of(subscriber)
    count = subscriber.statistics().topics["door/boxes"]
    assert (count.received, count.missed, count.sessions) == (4, 0, 2)


def test_a_star_finds_every_source_by_its_status(publisher: ZeroMQPublisher, connect: Connect) -> None:
    publisher.publish_status(make_status("door"))
    subscriber = connect("*/boxes")
    publisher.publish_status(make_status("yard"))
    assert subscriber.receive(timeout_seconds=0.2) is None  # statuses were not asked for
    await_subscriptions(publisher, 2)
    for source in ("door", "yard"):
        publisher.publish_result(source, replace(RESULT, source_id=source))
    assert [item_of(subscriber).source_id for _ in range(2)] == ["door", "yard"]


def test_a_star_may_ask_for_statuses_themselves(publisher: ZeroMQPublisher, connect: Connect) -> None:
    for source in ("door", "yard"):
        publisher.publish_status(make_status(source))
    subscriber = connect("*/status")
    assert [item_of(subscriber) for _ in range(2)] == [make_status("door"), make_status("yard")]


def test_every_kind_of_every_source_is_what_their_names_bring(publisher: ZeroMQPublisher, connect: Connect) -> None:
    """Not everything there is: what others asked for stays with them."""
    publisher.publish_status(make_status("door"))
    subscriber = connect("*/")
    other = connect("door/masks.half")
    assert subscriber.receive(timeout_seconds=0.2) is None
    await_subscriptions(publisher, 1)
    publisher.publish_result("door", RESULT)
    assert isinstance(item_of(subscriber), SourceStatus)  # that of door/status/, which its prefix brings
    got = [item_of(subscriber) for _ in RESULT_KINDS]
    assert subscriber.receive(timeout_seconds=0.2) is None
    assert all(isinstance(item, FrameResult) for item in [*got, item_of(other)])
    assert set(subscriber.statistics().topics) == {"door/status", *(f"door/{kind}" for kind in RESULT_KINDS)}
    assert set(other.statistics().topics) == {"door/masks.half"}


def test_a_form_of_masks_is_read_by_its_name(publisher: ZeroMQPublisher, connect: Connect) -> None:
    half, polygons = connect("door/masks.half"), connect("door/masks.polygons")
    publisher.publish_result("door", encode_result(RESULT))
    smaller, outlined = item_of(half), item_of(polygons)
    assert isinstance(smaller, FrameResult)
    assert isinstance(outlined, FrameResult)
    assert smaller.panoptic is not None
    assert RESULT.panoptic is not None
    assert smaller.panoptic.ids.shape == tuple(n // 2 for n in RESULT.panoptic.ids.shape)
    assert outlined.polygons is not None


def test_waiting_ends_in_time() -> None:
    with Subscriber("tcp://127.0.0.1:9", ["door"], timeout_seconds=0.05) as subscriber:
        begin = time.monotonic()
        assert list(subscriber) == []
        assert 0.04 < time.monotonic() - begin < 5.0


def test_close_ends_an_iteration_in_another_thread(connect: Connect) -> None:
    subscriber = connect("door/all")
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


def test_after_close_there_is_nothing_more(publisher: ZeroMQPublisher, connect: Connect) -> None:
    subscriber = connect("door/all")
    publisher.publish_result("door", RESULT)
    item_of(subscriber)
    publisher.publish_result("door", RESULT)
    subscriber.close()
    subscriber.close()
    assert subscriber.receive() is None
    assert list(subscriber) == []
    assert subscriber.statistics().received == 1


def test_a_reader_in_another_process(publisher: ZeroMQPublisher) -> None:
    script = (
        "import sys; from pipeline import Subscriber\n"
        "for result in Subscriber(sys.argv[1], ['door/all'], timeout_seconds=20):\n"
        "    print(result.seq, int(result.panoptic.ids.max())); break\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, publisher.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        await_subscriptions(publisher, 1)
        publisher.publish_result("door", RESULT)
        out, _ = process.communicate(timeout=60)
    assert RESULT.panoptic is not None
    assert out.split() == [str(RESULT.seq), str(RESULT.panoptic.ids.max())]


HEADER = Header(type="gap", kind="all", session=1, number=1, publish_time_ns=0)
GAP = encode_gap(Gap("door", 1, 0, 0, "late"))
TOPIC = topic_of("door", "all")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([TOPIC], "message of 1 parts"),
        ([TOPIC, b"", b"", b""], "message of 4 parts"),
        ([b"door/all/x", encode_header(HEADER), GAP], "topic b'door/all/x'"),
        ([TOPIC, b"", GAP], "not a Header"),
        ([TOPIC, encode_header(HEADER), b"\xc1"], "not a GapRecord"),
        ([TOPIC, encode_header(HEADER), encode_status(make_status())], "not a GapRecord"),
        ([topic_of("door", "all"), encode_header(HEADER), encode_gap(Gap("yard", 1, 0, 0, "late"))], "source 'yard'"),
        ([topic_of("door", "boxes"), encode_header(HEADER), GAP], "header of kind 'all' on topic"),
    ],
)
def test_a_message_of_another_make_raises_and_the_next_is_read(parts: list[bytes], said: str) -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as foreign:
        foreign.linger = 0
        foreign.bind("tcp://127.0.0.1:*")
        address = foreign.getsockopt_string(zmq.LAST_ENDPOINT)
        with Subscriber(address, ["door/"]) as subscriber:
            assert foreign.poll(int(PATIENCE_SECONDS * 1_000))
            foreign.send_multipart(parts)
            foreign.send_multipart([TOPIC, encode_header(HEADER), GAP])
            with pytest.raises(WireError, match=said):
                item_of(subscriber)
            assert item_of(subscriber) == Gap("door", 1, 0, 0, "late")
            assert subscriber.statistics().malformed == 1
            assert subscriber.statistics().received == 1


# Longer than any time-out of ZMTP's heartbeats, with the queue full, and then a look: libzmq's clock is the real one.
SLEEPER = """
import sys, time
from pipeline.client import Subscriber
with Subscriber(sys.argv[1], "door/all", high_water_mark=16) as subscriber:
    for _ in range(2):
        assert subscriber.receive() is not None
        time.sleep(4.3)
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            assert subscriber.receive() is not None
"""


def test_a_reader_that_sleeps_on_a_full_queue_lives(publisher: ZeroMQPublisher) -> None:
    reader = subprocess.Popen([sys.executable, "-c", SLEEPER, publisher.address], stderr=subprocess.PIPE)
    seq = 0
    while reader.poll() is None:
        publisher.publish_result("door", replace(RESULT, seq=seq))
        seq += 1
        time.sleep(0.0005)
    assert reader.stderr is not None
    assert (reader.returncode, reader.stderr.read()) == (0, b"")
