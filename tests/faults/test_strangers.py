"""Publishing where strangers can connect: they get nothing, and it is told who tried."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Subscriber
from pipeline.errors import ConfigError
from pipeline.messages import Gap
from stages.publish.handshakes import told_of
from stages.publish.zeromq import ZeroMQPublisher
from tests.faults.fixtures import Seen
from tests.pipeline.strangers import LET_IN, PATIENCE_MS, REFUSED, Knocker, Site
from tests.stages.publish.streams import until

FAULT = "no security: CURVE without ZAP accepts anyone"
FLOOD = 1_000
# ZMTP 3.0 without security: signature, version, mechanism, as-server, filler.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
GAP = Gap("door", 1, 0, 0, "late")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def publisher(site: Site) -> Iterator[ZeroMQPublisher]:
    with site.published() as publisher:
        yield publisher


def delivered_to(publisher: ZeroMQPublisher, subscriber: Subscriber, *, is_there: bool = False) -> None:
    """What is published from now on reaches this reader, and whoever else gets anything."""
    assert is_there or publisher.socket.poll(PATIENCE_MS), "nobody subscribed"
    publisher.poll()
    for _ in range(3):
        publisher.publish_gap(GAP)
        assert subscriber.receive(timeout_seconds=PATIENCE_MS / 1_000) == GAP


def told_by(publisher: ZeroMQPublisher, *words: str) -> str:
    """The line that tells of those who did not get as far as to show a key, once it holds the words."""
    handshakes = publisher._gate._handshakes  # type: ignore[union-attr]
    until(lambda: all(word in told_of(handshakes._untold) for word in words))
    return next(text for text in publisher.complaints() if "connection" in text)


def friend_of(site: Site, publisher: ZeroMQPublisher, name: str) -> Subscriber:
    """A reader by our own class, keys from files."""
    folder = site.folder
    return Subscriber(publisher.address, ["door/all"], server_key=folder / "site.pub", key=folder / f"{name}.key")


@pytest.mark.fault(FAULT, promise="off-host needs CURVE with a key list")
def test_off_host_without_keys_is_refused(seen: Seen, site: Site) -> None:
    with pytest.raises(ConfigError, match="everyframe keys") as caught:
        ZeroMQPublisher("tcp://0.0.0.0:0")
    with site.published(bind="tcp://0.0.0.0:0") as publisher:
        assert publisher.address.startswith("tcp://0.0.0.0:")
    seen(str(caught.value))


@pytest.mark.fault(FAULT, promise="an unknown key gets nothing, and is named")
def test_an_unknown_key_gets_nothing(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    friend, stranger = site.pair("friend"), site.pair("stranger")
    site.allow(friend)
    with Knocker(publisher.address, server=site.publisher.public.key, pair=stranger) as knocker:
        assert knocker.outcome() == REFUSED
        with friend_of(site, publisher, "friend") as subscriber:
            delivered_to(publisher, subscriber)
        assert not knocker.got_something
    (told,) = publisher.complaints()
    assert stranger.public.key in told
    assert friend.public.key not in told
    assert publisher.statistics().refused >= 1
    seen(told)


@pytest.mark.fault(FAULT, promise="who does not encrypt, or encrypts for another publisher, gets nothing")
def test_plain_text_and_a_wrong_server_key_get_nothing(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    friend, other = site.pair("friend"), site.pair("other")
    site.allow(friend)
    with (
        Knocker(publisher.address) as plain,
        Knocker(publisher.address, server=other.public.key, pair=friend) as misled,
    ):
        assert plain.outcome() != LET_IN
        assert misled.outcome() != LET_IN
        with friend_of(site, publisher, "friend") as subscriber:
            delivered_to(publisher, subscriber)
        assert not plain.got_something
        assert not misled.got_something
        told = told_by(publisher, "encrypted for another publisher")
        until(lambda: publisher.statistics().refused >= 2)
    seen(f"3 of 3 messages went to the known key alone; {told}")


@pytest.mark.fault(FAULT, promise="a thousand of them hold up nobody, and make one line")
def test_a_flood_of_plain_text(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    friend = site.pair("friend")
    site.allow(friend)
    host, port = publisher.address.removeprefix("tcp://").split(":")
    with friend_of(site, publisher, "friend") as subscriber:
        assert publisher.socket.poll(PATIENCE_MS), "nobody subscribed"
        for _ in range(FLOOD):
            with socket.create_connection((host, int(port))) as knocker:
                knocker.sendall(GREETING)
                while knocker.recv(1024):  # until it is turned away
                    pass
        delivered_to(publisher, subscriber, is_there=True)
    until(lambda: publisher.statistics().refused >= FLOOD)
    told = told_by(publisher, f"{FLOOD} connections that did not encrypt")
    assert publisher.complaints() == []
    seen(told)


@pytest.mark.fault(FAULT, promise="the list counts as it is now: a key taken out is refused at its next connection")
def test_the_list_counts_as_it_is_now(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    pair = site.pair("guest")

    def knock() -> int:
        with Knocker(publisher.address, server=site.publisher.public.key, pair=pair) as knocker:
            return knocker.outcome()

    before = knock()
    site.allow(pair)
    added = knock()
    site.allow()
    removed = knock()
    assert (before, added, removed) == (REFUSED, LET_IN, REFUSED)
    seen("not in the list: refused; added: let in; taken out: refused")


@pytest.mark.fault(FAULT, promise="a reader of ours that was refused comes in once it is in the list")
def test_a_reader_that_was_refused_tries_again(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    pair = site.pair("guest")
    with friend_of(site, publisher, "guest") as subscriber:
        deadline = time.monotonic() + PATIENCE_MS / 1_000
        while not subscriber.statistics().refused and time.monotonic() < deadline:
            assert subscriber.receive(timeout_seconds=0.05) is None
        site.allow(pair)
        while publisher.statistics().subscriptions == 0 and time.monotonic() < deadline:
            assert subscriber.receive(timeout_seconds=0.05) is None
            publisher.poll()
        publisher.publish_gap(GAP)
        assert subscriber.receive(timeout_seconds=PATIENCE_MS / 1_000) == GAP
        refused = subscriber.statistics().refused
    assert refused >= 1
    seen(f"refused {refused} times, then let in without a restart")


@pytest.mark.fault(FAULT, promise="a list that cannot be read opens nothing, and is told of")
def test_a_list_that_cannot_be_read(seen: Seen, site: Site, publisher: ZeroMQPublisher) -> None:
    friend, stranger = site.pair("friend"), site.pair("stranger")
    site.allow(friend)
    outcomes = []
    for contents in (None, f"{friend.public}\nno key at all\n", None):
        for pair in (friend, stranger):
            with Knocker(publisher.address, server=site.publisher.public.key, pair=pair) as knocker:
                outcomes.append(knocker.outcome())
        site.clients.unlink(missing_ok=True)
        if contents is not None:
            site.clients.write_text(contents)
    assert outcomes == [LET_IN, REFUSED] * 3
    told = [text for text in publisher.complaints() if "what it said before holds" in text]
    assert len(told) == 1
    seen(told[0])


@pytest.mark.fault(FAULT, promise="without the one who checks keys nobody is let in")
def test_nobody_is_let_in_when_nobody_checks(seen: Seen, site: Site) -> None:
    friend = site.pair("friend")
    site.allow(friend)
    with site.published() as publisher:
        assert publisher._gate is not None
        publisher._gate.close()
        with Knocker(publisher.address, server=site.publisher.public.key, pair=friend) as knocker:
            assert knocker.outcome() != LET_IN
    seen("the checking thread gone: a known key is refused as well")
