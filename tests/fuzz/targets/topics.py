"""Topics, requests and subscriptions: our errors, or what says the same again."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.client.topics import parse_request
from pipeline.errors import UsageError, WireError
from pipeline.wire import EVERY_KIND, KINDS, parse_topic, topic_of
from stages.publish.subscriptions import Subscriptions


def one_input(data: bytes) -> None:
    """The bytes as each of the three."""
    _topic(data)
    _request(data.decode("utf-8", "surrogateescape"))
    _subscribe(data)


def _topic(data: bytes) -> None:
    try:
        source_id, kind = parse_topic(data)
    except WireError:
        return
    assert topic_of(source_id, kind) == data


def _request(text: str) -> None:
    try:
        request = parse_request(text)
    except UsageError:
        return
    prefix = request.prefix(request.source_id or "any")
    assert any(topic_of(request.source_id or "any", kind).startswith(prefix) for kind in EVERY_KIND)


def _subscribe(data: bytes) -> None:
    """Each line is what an XPUB socket received; what is wanted is what some prefix matches."""
    subscriptions = Subscriptions()
    for message in data.split(b"\n"):
        subscriptions.apply(message)
    wanted = subscriptions.wanted("door")
    matched = {kind for kind in EVERY_KIND if subscriptions.matches(topic_of("door", kind))}
    assert wanted & set(KINDS) == matched & set(KINDS)
    assert wanted <= matched
    assert len(subscriptions) <= data.count(b"\n") + 1


def seeds() -> Iterator[bytes]:
    """Topics and requests as people and sockets write them."""
    yield from (topic_of("door", kind) for kind in EVERY_KIND)
    yield from (b"door", b"door/", b"door/tracks", b"*/masks", b"*", b"/status/")
    yield b"\x01door+/\n\x01door+/masks.coco/\n\x01"
    yield b"\x01door/\n\x01door/all/\n\x00door/\n\x01"
