"""Posts arrive at least once and in order, are signed, are tried again within limits, and never hold anybody up."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from base64 import b64decode
from typing import Any

import pytest

from pipeline.config import WebhookConfig
from pipeline.errors import SinkError
from pipeline.messages import Gap, SourceStatus
from pipeline.stage import DeferredSink
from stages.publish.webhook import WebhookSink
from tests.mosquitto import until
from tests.pipeline.wire.samples import make_result
from tests.stages.publish.receiver import HANG_UP, Receiver
from tests.stages.publish.test_events import BOX, frame

SECRET = "canary7hunter2"
SOON = {"retry_first_seconds": 0.001, "retry_max_seconds": 0.002}


def sink_to(receiver: Receiver | str, *, secret: bytes | None = None, **settings: Any) -> WebhookSink:
    url = receiver if isinstance(receiver, str) else f"{receiver.url}/hook"
    return WebhookSink(WebhookConfig(url=url, **(SOON | settings)), secret=secret, flush_seconds=30.0)


def complaints(sink: WebhookSink) -> str:
    return "\n".join(map(str, sink.complaints()))


def test_events_are_posted_in_order_each_under_its_identity() -> None:
    with Receiver() as receiver:
        sink = sink_to(receiver)
        assert isinstance(sink, DeferredSink)
        sink.write(frame(0, (1, BOX), (2, BOX)))
        sink.write(frame(1, (2, BOX)))
        sink.close()
        sink.close()
    assert [request.headers["Idempotency-Key"] for request in receiver.requests] == [
        *("door/1/1/0", "door/1/2/0"),
        *("door/1/1/1", "door/1/2/1"),
    ]
    first = receiver.requests[0]
    assert (first.path, first.headers["Content-Type"]) == ("/hook", "application/json")
    assert [json.loads(request.body)["type"] for request in receiver.requests] == ["new", "new", "end", "end"]
    assert "X-Everyframe-Signature" not in first.headers
    assert sink.progress().delivered == {"door": 4}
    with pytest.raises(SinkError, match="closed"):
        sink.write(frame(2))


def test_or_results_and_gaps() -> None:
    with Receiver() as receiver:
        sink = sink_to(receiver, send="results")
        sink.write(make_result())
        sink.write(Gap("door", 2, 42, 44, "late"))
        sink.write(SourceStatus("door", "STREAMING", epoch=2))
        sink.close()
    assert [request.headers["Idempotency-Key"] for request in receiver.requests] == ["door/2/41", "door/2/42-44"]
    assert [json.loads(request.body)["type"] for request in receiver.requests] == ["result", "gap"]


def test_a_request_is_signed() -> None:
    with Receiver() as receiver:
        sink = sink_to(receiver, secret=SECRET.encode())
        sink.write(frame(0, (1, BOX)))
        sink.close()
    for request in receiver.requests:
        signed = request.headers["X-Everyframe-Timestamp"].encode() + b"." + request.body
        expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert request.headers["X-Everyframe-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("fault", [500, 503, 408, 425, 429, HANG_UP])
def test_what_may_pass_is_tried_again_the_same_and_in_order(fault: int) -> None:
    with Receiver([fault, fault, 204]) as receiver:
        sink = sink_to(receiver)
        sink.write(frame(0, (1, BOX), (2, BOX)))
        until(lambda: sink.progress().delivered == {"door": 2})
        bodies = [request.body for request in receiver.requests]
        keys = [request.headers["Idempotency-Key"] for request in receiver.requests]
        assert bodies[0] == bodies[1] == bodies[2] != bodies[3]
        assert keys == ["door/1/1/0"] * 3 + ["door/1/2/0"]
        sink.close()
    assert sink.progress().lost == {}
    assert complaints(sink) == ""


def test_it_is_given_up_after_so_many_tries_and_said_once() -> None:
    with Receiver([500] * 6) as receiver:
        sink = sink_to(receiver, attempts=3)
        sink.write(frame(0, (1, BOX), (2, BOX), (3, BOX)))
        until(lambda: sink.progress().delivered == {"door": 1})
        assert len(receiver.requests) == 7
        assert sink.progress().lost == {"door": 2}
        said = complaints(sink)
        assert said.count("\n") == 0
        assert "door/1/1/0 is given up: it answers 500, 3 times" in said
        sink.close()


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    with Receiver([status]) as receiver:
        sink = sink_to(receiver)
        sink.write(frame(0, (1, BOX)))
        until(lambda: sink.progress().lost == {"door": 1})
        assert f"it answers {status}" in complaints(sink)
        assert len(receiver.requests) == 1
        sink.close()


def test_no_redirect_is_followed() -> None:
    with Receiver() as elsewhere, Receiver([(307, {"Location": elsewhere.url}), (302, {"Location": "/x"})]) as receiver:
        sink = sink_to(receiver, secret=SECRET.encode())
        sink.write(frame(0, (1, BOX), (2, BOX)))
        until(lambda: sink.progress().lost == {"door": 2})
        assert "a redirect, and none is followed" in complaints(sink)
        sink.close()
    assert elsewhere.requests == []
    assert {request.path for request in receiver.requests} == {"/hook"}


def test_nobody_waits_for_one_that_hangs_and_the_oldest_make_room() -> None:
    with Receiver() as receiver:
        receiver.free.clear()
        sink = sink_to(receiver, queue_messages=4, timeout_seconds=100.0)
        sink.write(frame(0, (1, BOX)))
        until(lambda: len(receiver.requests) == 1)
        sink.write(frame(0.1, *((id_, BOX) for id_ in range(1, 11))))
        progress = sink.progress()
        assert (progress.waiting, progress.lost) == (1 + 4, {"door": 5})
        assert "the queue is full; the oldest messages are lost" in complaints(sink)
        receiver.free.set()
        until(lambda: sink.progress().waiting == 0)
        keys = [request.headers["Idempotency-Key"] for request in receiver.requests]
        assert keys == ["door/1/1/0", *(f"door/1/{id_}/0" for id_ in range(7, 11))]
        sink.close()


def test_what_has_not_arrived_when_the_run_ends_is_counted() -> None:
    with Receiver() as receiver:
        receiver.free.clear()
        config = WebhookConfig(url=receiver.url, timeout_seconds=100.0)
        sink = WebhookSink(config, flush_seconds=0.01)
        sink.write(frame(0, (1, BOX), (2, BOX)))
        until(lambda: len(receiver.requests) == 1)
        sink.close()
        assert sink.progress().lost == {"door": 4}
        assert sink.progress().waiting == 0
        assert "4 messages had not arrived when the run ended" in complaints(sink)


def test_the_end_of_a_run_is_not_held_up_by_waits_between_tries() -> None:
    with Receiver([500]) as receiver:
        config = WebhookConfig(url=receiver.url, retry_first_seconds=1000.0, retry_max_seconds=1000.0)
        sink = WebhookSink(config, flush_seconds=0.01)
        sink.write(frame(0, (1, BOX)))
        until(lambda: len(receiver.requests) == 1)
        sink.close()
        until(lambda: sink.progress().lost == {"door": 2})


def test_nobody_there_is_said_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HOOK", SECRET)
        port = nobody.getsockname()[1]
        sink = sink_to(f"http://user:{SECRET}@127.0.0.1:{port}/services/${{HOOK}}?key={SECRET}", attempts=2)
        sink.write(frame(0, (1, BOX)))
        until(lambda: sink.progress().lost == {"door": 1})
        said = complaints(sink)
        sink.close()
    assert f"http://127.0.0.1:{port}: door/1/1/0 is given up: no answer (" in said
    assert SECRET not in said
    assert not sink.progress().reachable


def test_credentials_go_into_a_header_and_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("WORD", "пароль")
    with Receiver() as receiver:
        sink = sink_to(receiver.url.replace("http://", "http://us%40er:${WORD}@") + "/${HOOK}")
        sink.write(frame(0, (1, BOX)))
        sink.close()
    request = receiver.requests[0]
    assert request.path == f"/{SECRET}"
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "us@er:пароль"
