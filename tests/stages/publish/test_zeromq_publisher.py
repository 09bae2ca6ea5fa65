"""The publishing socket: who asked for what gets it, numbered, in order; who did not costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from pipeline.config import FrameConfig
from pipeline.errors import ConfigError, SinkError, WireError
from pipeline.messages import Gap
from pipeline.wire import (
    MASK_FORMS,
    RESULT_KINDS,
    Header,
    decode_gap,
    decode_header,
    decode_picture,
    decode_result,
    decode_status,
    encode_result,
)
from stages.publish import zeromq
from stages.publish.bind_address import check_bind
from stages.publish.subscriptions import Subscriptions
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.wire.samples import make_result, make_status, same
from tests.stages.publish.test_pictures import frame, rgb

PATIENCE_MS = 10_000
RESULT = make_result()
CODED = encode_result(RESULT)

Reader = Callable[..., Any]


@pytest.fixture
def publisher() -> Iterator[ZeroMQPublisher]:
    with ZeroMQPublisher("tcp://127.0.0.1:0", session=77, now_ns=lambda: 5) as publisher:
        yield publisher


@pytest.fixture
def reader(publisher: ZeroMQPublisher) -> Iterator[Reader]:
    """`reader(prefix, ...)`: a plain SUB socket, its subscriptions already known to the publisher."""
    context = zmq.Context()
    connections = []  # a socket nobody holds is closed

    def connected(*prefixes: bytes, high_water_mark: int = 1_000) -> Any:
        socket = context.socket(zmq.SUB)
        connections.append(socket)
        socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        socket.setsockopt(zmq.RCVHWM, high_water_mark)
        socket.connect(publisher.address)
        for prefix in prefixes:
            socket.subscribe(prefix)
            assert publisher.socket.poll(PATIENCE_MS)
            publisher.poll()
        return socket

    yield connected
    context.destroy(linger=0)


def received(socket: Any) -> tuple[bytes, Header, bytes]:
    topic, header, payload = socket.recv_multipart()
    return topic, decode_header(header), payload


def test_the_address_of_a_free_port_is_told(publisher: ZeroMQPublisher) -> None:
    assert publisher.address.startswith("tcp://127.0.0.1:")
    assert not publisher.address.endswith((":0", ":*"))


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:5560",
        "tcp://*:5560",
        "tcp://192.168.1.5:5560",
        "tcp://[::]:5560",
        "tcp://eth0:5560",
        "tcp://example.com:1",
    ],
)
def test_other_machines_are_kept_out(address: str) -> None:
    with pytest.raises(ConfigError, match=r"publish\.bind: .* could be reached from other machines"):
        ZeroMQPublisher(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:\u0663",
        "http://127.0.0.1:1",
        "ipc://",
        "5560",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"publish\.bind: .* is not an address"):
        ZeroMQPublisher(address)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("tcp://localhost:0", "tcp://127.0.0.1:*"),
        ("tcp://127.8.9.1:5560", "tcp://127.8.9.1:5560"),
        ("tcp://[::1]:*", "tcp://[::1]:*"),
        ("ipc://@everyframe", "ipc://@everyframe"),
    ],
)
def test_addresses_of_this_machine_are_taken(given: str, taken: str) -> None:
    assert check_bind(given) == taken


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:5560", "tcp://*:*", "tcp://[::]:5560", "tcp://eth0:5560"])
def test_behind_a_gate_other_machines_may_come(address: str) -> None:
    assert check_bind(address, guarded=True) == address
    for no_address in ("tcp://:5560", "tcp://0.0.0.0:99999", "udp://0.0.0.0:1"):
        with pytest.raises(ConfigError, match=r"publish\.bind: .* is not an address"):
            check_bind(no_address, guarded=True)


def test_an_address_in_use_is_named_with_the_remedy(publisher: ZeroMQPublisher) -> None:
    with pytest.raises(SinkError, match=rf"{publisher.address} is in use.*publish\.bind; port 0"):
        ZeroMQPublisher(publisher.address)


def test_nothing_is_coded_or_sent_when_nobody_subscribed(
    publisher: ZeroMQPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    for coder in ("encode_result", "select_kind", "encode_gap", "encode_header"):
        monkeypatch.setattr(zeromq, coder, lambda *args, **_: calls.append(args) or b"")
    for _ in range(3):
        publisher.publish_result("door", CODED)
        publisher.publish_result("door", RESULT)
        publisher.publish_gap(Gap("door", 1, 0, 0, "late"))
    assert calls == []
    statistics = publisher.statistics()
    assert (statistics.due, statistics.coded, statistics.sent, statistics.sent_bytes) == (9, 0, {}, 0)


def test_a_subscriber_of_boxes_costs_one_cut_and_no_mask(
    publisher: ZeroMQPublisher, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts: list[str] = []
    monkeypatch.setattr(zeromq, "select_kind", lambda payload, kind: cuts.append(kind) or b"cut")
    socket = reader(b"door/boxes/")
    publisher.publish_result("door", CODED, gap_before=2)
    publisher.publish_result("yard", CODED)
    topic, header, payload = received(socket)
    assert (topic, payload, cuts) == (b"door/boxes/", b"cut", ["boxes"])
    assert header == Header(type="result", kind="boxes", session=77, number=1, gap_before=2, publish_time_ns=5)


def test_all_is_forwarded_as_it_came(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"door/all/")
    publisher.publish_result("door", b"these very bytes")
    assert received(socket)[2] == b"these very bytes"
    assert publisher.statistics().coded == 0


@pytest.mark.parametrize("payload", [CODED, RESULT], ids=["bytes", "result"])
def test_one_source_s_prefix_brings_every_kind_of_it_alone(
    publisher: ZeroMQPublisher, reader: Reader, payload: Any
) -> None:
    socket = reader(b"door/")
    publisher.publish_result("doorbell", payload)
    publisher.publish_result("door", payload)
    got = [received(socket) for _ in RESULT_KINDS]
    assert [topic for topic, _, _ in got] == [f"door/{kind}/".encode() for kind in RESULT_KINDS]
    assert [data for _, _, data in got] == [encode_result(RESULT, kind) for kind in RESULT_KINDS]


def test_the_empty_prefix_brings_everything(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"")
    publisher.publish_gap(Gap("door", 1, 0, 0, "late"))
    publisher.publish_status(make_status("yard"))
    topics = [received(socket)[0] for _ in range(6)]
    assert topics[:4] == [f"door/{kind}/".encode() for kind in RESULT_KINDS]
    assert topics[4:] == [b"/status/", b"yard/status/"]


def test_masks_in_other_forms_are_coded_where_they_are_asked_for_by_name(
    publisher: ZeroMQPublisher, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded: list[str] = []
    monkeypatch.setattr(zeromq, "encode_result", lambda result, kind: coded.append(kind) or encode_result(result, kind))
    everything, every_kind = reader(b""), reader(b"door/")
    publisher.publish_result("door", CODED)
    assert coded == []
    crops = [reader(b"door+/masks.crops/") for _ in range(2)]
    reader(b"yard+/masks.coco/")
    publisher.publish_result("door", CODED, gap_before=1)
    publisher.publish_gap(Gap("door", 2, 42, 42, "late"))
    assert coded == ["masks.crops"]  # once, however many ask
    for socket in crops:
        (topic, header, payload), (_, gap, _) = received(socket), received(socket)
        assert (topic, header.kind, header.number, header.gap_before) == (b"door+/masks.crops/", "masks.crops", 2, 1)
        assert payload == encode_result(RESULT, "masks.crops")
        assert (gap.type, gap.number) == ("gap", 3)
    topics = [received(every_kind)[0] for _ in range(3 * len(RESULT_KINDS))]
    assert topics == [f"door/{kind}/".encode() for kind in RESULT_KINDS] * 3
    assert not every_kind.poll(0)
    assert received(everything)[0] == b"door/boxes/"


def test_the_marked_prefix_brings_every_form(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"door+/")
    publisher.publish_result("door", RESULT)
    got = [received(socket) for _ in MASK_FORMS]
    assert [topic for topic, _, _ in got] == [f"door+/{form}/".encode() for form in MASK_FORMS]
    assert [data for _, _, data in got] == [encode_result(RESULT, form) for form in MASK_FORMS]


def test_the_map_is_decoded_once_for_all_forms(
    publisher: ZeroMQPublisher, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(zeromq, "decode_result", lambda data: decoded.append(data) or decode_result(data))
    reader(b"door+/masks.half/", b"door+/masks.quarter/", b"door/boxes/")
    publisher.publish_result("door", CODED)
    assert len(decoded) == 1
    assert publisher.statistics().coded == 3


def test_pictures_are_coded_where_they_are_offered_subscribed_to_and_due() -> None:
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0") as without,
        ZeroMQPublisher("tcp://127.0.0.1:0", frame=FrameConfig()) as it,
    ):
        context = zmq.Context()
        sockets = [context.socket(zmq.SUB) for _ in range(3)]
        try:
            for socket, publisher, prefix in zip(
                sockets, (without, it, it), (b"door+/frame/", b"door/", b"door+/frame/"), strict=True
            ):
                assert not publisher.wants_picture("door")
                socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
                socket.connect(publisher.address)
                socket.subscribe(prefix)
                assert publisher.socket.poll(PATIENCE_MS)
                publisher.poll()
            assert not without.wants_picture("door")
            assert not it.wants_picture("yard")
            assert it.wants_picture("door")
            it.publish_result("door", CODED)
            it.publish_picture(frame(rgb(96, 54)))
            assert not it.wants_picture("door")  # one a second
            it.publish_picture(frame(rgb(96, 54)))
            for number in (1, 2):
                topic, header, payload = received(sockets[2])
                assert (topic, header.type, header.kind, header.number) == (b"door+/frame/", "frame", "frame", number)
                assert decode_picture(payload).identity == ("door", 3, 7)
            assert [received(sockets[1])[0] for _ in RESULT_KINDS] == [
                f"door/{kind}/".encode() for kind in RESULT_KINDS
            ]
            assert not sockets[1].poll(0)
        finally:
            context.destroy(linger=0)


def test_gaps_stand_in_order_in_every_kind(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"door/")
    gap = Gap("door", 2, 42, 44, "backlog")
    publisher.publish_result("door", CODED)
    publisher.publish_gap(gap)
    publisher.publish_result("door", CODED, gap_before=3)
    got = [received(socket) for _ in range(12)]
    for kind in RESULT_KINDS:
        stream = [(header, data) for topic, header, data in got if topic == f"door/{kind}/".encode()]
        assert [header.type for header, _ in stream] == ["result", "gap", "result"]
        assert [header.number for header, _ in stream] == [1, 2, 3]
        assert [header.gap_before for header, _ in stream] == [0, 0, 3]
        assert decode_gap(stream[1][1]) == gap


def test_numbers_run_on_while_nobody_listens(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"door/tracks/")
    publisher.publish_result("door", CODED)
    assert received(socket)[1].number == 1
    socket.unsubscribe(b"door/tracks/")
    assert publisher.socket.poll(PATIENCE_MS)
    publisher.poll()  # else looked for once a millisecond
    for _ in range(5):
        publisher.publish_result("door", CODED)
    socket.subscribe(b"door/tracks/")
    assert publisher.socket.poll(PATIENCE_MS)
    publisher.poll()
    publisher.publish_result("yard", CODED)
    publisher.publish_result("door", CODED)
    assert received(socket)[1].number == 7


def test_late_joiners_get_the_last_status_of_each_source(publisher: ZeroMQPublisher, reader: Reader) -> None:
    for source in ("door", "yard"):
        publisher.publish_status(make_status(source, "CONNECTING"))
        publisher.publish_status(make_status(source, "STREAMING"))
    for _ in range(2):  # the second joins where the first already is
        socket = reader(b"door/status/")
        topic, header, payload = received(socket)
        assert (topic, header.type, header.kind) == (b"door/status/", "status", "status")
        assert decode_status(payload) == make_status("door", "STREAMING")
    everybody = reader(b"/status/")
    assert [decode_status(received(everybody)[2]).source_id for _ in range(2)] == ["door", "yard"]


def test_a_removed_source_is_announced_once_and_forgotten(publisher: ZeroMQPublisher, reader: Reader) -> None:
    first = reader(b"door/status/")
    publisher.publish_status(make_status("door", "REMOVED"))
    publisher.publish_status(make_status("yard", "STREAMING"))
    assert decode_status(received(first)[2]).state == "REMOVED"
    assert decode_status(received(reader(b"/status/"))[2]).source_id == "yard"


def test_as_a_sink_it_takes_every_item(publisher: ZeroMQPublisher, reader: Reader) -> None:
    socket = reader(b"door/all/", b"door/status/")
    for item in (RESULT, Gap("door", 2, 42, 42, "late"), make_status("door")):
        publisher.write(item, None)
    assert same(decode_result(received(socket)[2]), RESULT)
    assert received(socket)[1].type == "gap"
    assert received(socket)[1].type == "status"
    assert publisher.needs_surface is False


def test_bytes_that_cannot_be_cut_are_refused(publisher: ZeroMQPublisher, reader: Reader) -> None:
    reader(b"door/boxes/")
    with pytest.raises(WireError):
        publisher.publish_result("door", b"no result")


def test_sessions_are_drawn_anew() -> None:
    with ZeroMQPublisher("tcp://127.0.0.1:0") as one, ZeroMQPublisher("tcp://127.0.0.1:0") as other:
        assert one.session != other.session


def test_closing_does_not_wait_for_a_reader_that_does_not_read(publisher: ZeroMQPublisher, reader: Reader) -> None:
    reader(b"door/all/", high_water_mark=1)
    payload = bytes(100_000)
    for _ in range(900):
        publisher.publish_result("door", payload)
    begin = time.monotonic()
    publisher.close()
    publisher.close()
    assert time.monotonic() - begin < 2.0
    with pytest.raises(SinkError, match="closed"):
        publisher.publish_gap(Gap("door", 1, 0, 0, "late"))


def test_prefixes_match_as_zeromq_matches_them() -> None:
    subscriptions = Subscriptions()
    assert subscriptions.wanted("door") == frozenset()
    assert subscriptions.apply(b"\x01do") == b"do"
    assert subscriptions.wanted("door") == {"boxes", "tracks", "masks", "all", "status"}
    assert subscriptions.wanted("yard") == frozenset()
    assert subscriptions.apply(b"\x00do") is None
    subscriptions.apply(b"\x01door/all/")
    subscriptions.apply(b"\x01door/all/deeper")
    assert subscriptions.wanted("door") == {"all"}
    subscriptions.apply(b"\x01door+/masks.")
    assert subscriptions.wanted("door") == {"all", *MASK_FORMS}
    assert subscriptions.wanted("door+") == frozenset()


def test_what_is_no_subscription_is_passed_over() -> None:
    subscriptions = Subscriptions()
    for message in (b"", b"\x02door/", b"hello", b"\x01" + b"x" * 200):
        assert subscriptions.apply(message) is None
    assert len(subscriptions) == 0
