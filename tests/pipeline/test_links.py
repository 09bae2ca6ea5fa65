"""Links: in order, bounded, counted; the memory link as the real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from pipeline.errors import LinkError
from pipeline.links.link import Link, LinkStatistics
from pipeline.links.memory import MemoryLink
from pipeline.links.zeromq import ReceivingEnd, SendingEnd, private_address

Ends = Callable[[int], tuple[Link, Link]]


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as made:
        yield made


@pytest.fixture(params=["memory", "zeromq"])
def ends(request: pytest.FixtureRequest, context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Ends]:
    opened: list[Link] = []

    def open_ends(capacity: int) -> tuple[Link, Link]:
        if request.param == "memory":
            link = MemoryLink(capacity=capacity)
            return link, link
        address = private_address("test")
        receiving = ReceivingEnd(context, address, capacity=capacity)
        sending = SendingEnd(context, address, capacity=capacity)
        opened.extend((sending, receiving))
        return sending, receiving

    yield open_ends
    for link in opened:
        link.close()


def receive(link: Link) -> list[bytes]:
    deadline = time.monotonic() + 10
    while (parts := link.receive()) is None:
        assert time.monotonic() < deadline
        if link.waitable is not None:
            link.waitable.poll(100)
    return parts


def test_messages_come_in_order_and_are_counted(ends: Ends) -> None:
    sending, receiving = ends(10)
    for n in range(5):
        assert sending.send([b"%d" % n, b"part"])
    assert [receive(receiving) for _ in range(5)] == [[b"%d" % n, b"part"] for n in range(5)]
    assert receiving.receive() is None
    assert sending.statistics().sent == 5
    assert receiving.statistics().received == 5


def test_a_full_link_refuses_and_says_so(ends: Ends) -> None:
    sending, _ = ends(2)
    payload = bytes(1 << 20)  # more than any socket buffer, so that it is the bound that counts
    taken = sum(sending.send([payload]) for _ in range(40))
    assert 2 <= taken < 40
    assert sending.statistics() == LinkStatistics(sent=taken, refused=40 - taken, received=0)


def test_a_closed_memory_link_still_gives_what_it_holds() -> None:
    link = MemoryLink(capacity=2)
    link.send([b"x"])
    link.close()
    assert not link.send([b"y"])
    assert link.receive() == [b"x"]


def test_the_ends_of_a_real_link_do_not_take_each_others_part(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    address = private_address("test")
    receiving, sending = ReceivingEnd(context, address, capacity=1), SendingEnd(context, address, capacity=1)
    assert sending.receive() is None
    assert not receiving.send([b"x"])
    for link in (receiving, sending):
        link.close()


def test_an_address_can_be_had_once_and_is_never_the_same(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    address = private_address("test")
    assert address != private_address("test")
    link = ReceivingEnd(context, address, capacity=1)
    with pytest.raises(LinkError, match="cannot be opened"):
        ReceivingEnd(context, address, capacity=1)
    link.close()


def test_processes_of_another_user_are_not_admitted(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = private_address("test")
    with monkeypatch.context() as patched:
        patched.setattr("os.getuid", lambda: 54_321)  # whose link it is; we are somebody else
        receiving = ReceivingEnd(context, address, capacity=4)
    sending = SendingEnd(context, address, capacity=4)
    sending.send([b"intruder"])
    assert receiving.waitable.poll(300) == 0
    for link in (receiving, sending):
        link.close()
