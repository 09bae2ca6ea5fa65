"""A place that another process lets go of in a moment is waited for, and one that it keeps is named."""

from __future__ import annotations

import threading

import pytest

from pipeline.errors import InUse, SinkError
from stages.publish import patience
from stages.publish.patience import once_free
from stages.publish.zeromq import ZeroMQPublisher


def test_what_is_in_use_is_tried_again_until_it_is_free() -> None:
    tries = []

    def take() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise InUse("taken")
        return "free"

    assert once_free(take, seconds=60) == "free"
    assert len(tries) == 4


def test_patience_ends() -> None:
    tries = []

    def take() -> None:
        tries.append(1)
        raise InUse("taken")

    with pytest.raises(InUse, match="taken"):
        once_free(take, seconds=0.2)
    assert len(tries) > 1


def test_other_failures_are_told_at_once() -> None:
    def take() -> None:
        tries.append(1)
        raise SinkError("no such place")

    tries: list[int] = []
    with pytest.raises(SinkError, match="no such place"):
        once_free(take, seconds=60)
    assert len(tries) == 1


def test_an_address_that_an_ending_run_lets_go_of_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 60.0)
    earlier = ZeroMQPublisher("tcp://127.0.0.1:0")
    address = earlier.address
    threading.Timer(0.3, earlier.close).start()
    with ZeroMQPublisher(address) as publisher:
        assert publisher.address == address
