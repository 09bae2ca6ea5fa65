"""The gate: what it says of whom it refused, and how seldom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import zmq

from pipeline.errors import SinkError
from stages.publish.curve import MOST_NAMED, MOST_REMEMBERED, REMIND_SECONDS, Curve, Gate
from stages.publish.handshakes import reason_of
from tests.pipeline.strangers import Site


class Clock:
    """Time that passes when told to."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Nobody:
    """A list without a key."""

    fault = ""

    def allows(self, key: str) -> bool:
        return key == "known"


@pytest.fixture
def nobody() -> Nobody:
    return Nobody()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(nobody: Nobody, clock: Clock) -> Iterator[Gate]:
    with zmq.Context() as context:
        gate = Gate(context, Curve(zmq.curve_keypair()[1], nobody), now_seconds=clock)
        yield gate
        gate.close()
        gate.close()


def test_who_is_refused_is_named_at_once_and_then_once_a_minute(gate: Gate, clock: Clock) -> None:
    assert gate.callback("everyframe", b"known")
    assert gate.complaints() == []
    assert not gate.callback("everyframe", b"stranger")
    assert gate.complaints() == ["refused to let in stranger: not in the list of publish.clients"]
    for _ in range(3):
        gate.callback("everyframe", b"stranger")
    assert gate.complaints() == []
    clock.seconds += REMIND_SECONDS
    assert gate.complaints() == ["refused to let in stranger (3 times): not in the list of publish.clients"]
    assert gate.refused == 4


def test_whoever_makes_up_keys_fills_neither_memory_nor_the_log(gate: Gate) -> None:
    for number in range(MOST_REMEMBERED + 50):
        gate.callback("everyframe", f"key{number}".encode())
    (told,) = gate.complaints()
    assert told.count("key") == MOST_NAMED + 1
    assert f"and {MOST_REMEMBERED - MOST_NAMED} or more other keys" in told


def test_a_list_that_cannot_be_read_is_told_of_once(gate: Gate, nobody: Nobody) -> None:
    nobody.fault = "publish.clients: broken"
    assert gate.complaints() == ["publish.clients: broken; what it said before holds"]
    assert gate.complaints() == []
    nobody.fault = ""
    assert gate.complaints() == []
    nobody.fault = "publish.clients: broken"
    assert len(gate.complaints()) == 1


def test_the_secret_is_not_shown(nobody: Nobody) -> None:
    assert "secret" not in repr(Curve(b"my secret", nobody)).replace("secret_key", "")


def test_failed_handshakes_are_told_of_with_the_keys_and_no_more_often(gate: Gate, clock: Clock) -> None:
    with gate._context.socket(zmq.XPUB) as socket:
        gate.guard(socket)
        handshakes = gate._handshakes
        assert handshakes is not None
        handshakes._note("left")
        assert gate.complaints() == []  # whoever looks whether a port is open fills no log
        for code in (zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH,) * 2 + (zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, 7):
            handshakes._note(reason_of(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, code))
        gate.callback("everyframe", b"stranger")
        of_keys, of_handshakes = gate.complaints()
        assert "stranger" in of_keys
        assert of_handshakes.startswith("refused 2 connections that did not encrypt (")
        assert "1 connection that encrypted for another publisher" in of_handshakes
        assert "1 connection whose handshake made no sense" in of_handshakes
        assert gate.refused == 6
        handshakes._note("plain")
        assert gate.complaints() == []
        clock.seconds += REMIND_SECONDS
        assert gate.complaints()[0].startswith("refused 1 connection that did not encrypt")
        gate.close()


def test_a_publisher_that_cannot_bind_leaves_no_thread_behind(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with (
        site.published() as publisher,
        mock.patch("stages.publish.patience.SECONDS", 0.3),
    ):
        before = threading.active_count()
        with pytest.raises(SinkError, match="is in use"), site.published(bind=publisher.address):
            pass
        assert threading.active_count() == before
