"""What a reader may ask for, and where."""

from __future__ import annotations

import pytest

from pipeline.client import Subscriber
from pipeline.client.connect_address import check_connect
from pipeline.client.topics import Request, parse_request
from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("text", "request_", "prefix"),
    [
        ("door", Request("door", "all"), b"door/all/"),
        ("door/", Request("door", None), b"door/"),
        ("door/tracks", Request("door", "tracks"), b"door/tracks/"),
        ("door/tracks/", Request("door", "tracks"), b"door/tracks/"),
        ("door/status", Request("door", "status"), b"door/status/"),
        ("*", Request(None, "all"), b"yard/all/"),
        ("*/", Request(None, None), b"yard/"),
        ("*/masks", Request(None, "masks"), b"yard/masks/"),
        ("door/masks.half", Request("door", "masks.half"), b"door+/masks.half/"),
        ("*/masks.coco", Request(None, "masks.coco"), b"yard+/masks.coco/"),
    ],
)
def test_topics_as_people_write_them(text: str, request_: Request, prefix: bytes) -> None:
    assert parse_request(text) == request_
    assert request_.prefix(request_.source_id or "yard") == prefix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("door/audio", r"topic 'door/audio': kind 'audio' is unknown; one of boxes, tracks, masks, all, status"),
        ("door/tracks/x", "kind 'tracks/x' is unknown"),
        ("door//", "kind '/' is unknown"),
        ("", "topic '': source name '' is not allowed"),
        ("/status", r"'\*' stands for every source"),
        ("a b/all", "source name 'a b' is not allowed"),
        ("door*/all", r"source name 'door\*' is not allowed"),
    ],
)
def test_what_is_no_topic_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Subscriber(topics=[text])


def test_at_least_one_topic_is_needed() -> None:
    with pytest.raises(UsageError, match="none given"):
        Subscriber(topics=[])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:5560", "tcp://camera-host:1", "tcp://[::1]:65535", "ipc://@x"])
def test_addresses_to_read_at(address: str) -> None:
    assert check_connect(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:5560",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:0",
        "tcp://:5560",
        "tcp://h:65536",
        "tcp://h:\u0663",
        "http://h:6379",
        "ipc://",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is not an address to subscribe at; tcp://HOST:PORT"):
        Subscriber(address, ["door"])


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(UsageError) as refused:
        Subscriber("redis://me:secret@host:99999", ["door"])
    assert "secret" not in str(refused.value)
