"""A small message that claims to be much: refused by what it says, before there is memory for it."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard

from pipeline.client import Subscriber
from pipeline.errors import WireError
from pipeline.wire import decode_result, encode_result
from pipeline.wire.limits import DEFAULT_LIMITS
from tests.pipeline.wire.samples import make_result

SMALL = make_result(objects=3, height=12, width=20, segments=5)
MEGABYTE = 1 << 20
PATIENCE_SECONDS = 60.0


def zeros(count: int) -> bytes:
    """A whole zstd frame of so many zeros, a 30,000th of their size."""
    coder = zstandard.ZstdCompressor(level=3).compressobj(size=count)
    block = bytes(16 * MEGABYTE)
    coded = [coder.compress(block[: min(len(block), count - at)]) for at in range(0, count, len(block))]
    return b"".join(coded) + coder.flush()


def with_map(panoptic: dict[str, Any], lengths: list[int]) -> None:
    planes = np.array(lengths, dtype="<u4").view(np.uint8).reshape(len(lengths), 4).T.tobytes()
    panoptic["id_map"] = zstandard.compress(planes + bytes(2 * len(lengths)))


def unpacking(panoptic: dict[str, Any]) -> None:
    panoptic["id_map"] = zeros(256 * MEGABYTE)


def unpacking_lengths(panoptic: dict[str, Any]) -> None:
    panoptic["crops"]["lengths"] = zeros(256 * MEGABYTE)


def as_many_lengths_as_said(panoptic: dict[str, Any]) -> None:
    panoptic["crops"]["runs"] = np.full(5, 2**31 - 1, dtype="<i4").tobytes()


def a_long_run(panoptic: dict[str, Any]) -> None:
    with_map(panoptic, [2**32 - 1])


def runs_that_wrap_around(panoptic: dict[str, Any]) -> None:
    with_map(panoptic, [2**31, 2**31, 240])


def a_large_map(panoptic: dict[str, Any]) -> None:
    panoptic["width"] = panoptic["height"] = 2**16
    with_map(panoptic, [2**32 - 1, 1])


def a_long_number(panoptic: dict[str, Any]) -> None:
    panoptic["coco"] = ["oooooo?", *panoptic["coco"][1:]]


def an_endless_number(panoptic: dict[str, Any]) -> None:
    panoptic["coco"] = ["o" * 100_000 + "0", *panoptic["coco"][1:]]


@pytest.mark.parametrize(
    ("kind", "bomb"),
    [
        ("masks", unpacking),
        ("masks.crops", unpacking_lengths),
        ("masks.crops", as_many_lengths_as_said),
        ("masks", a_long_run),
        ("masks", runs_that_wrap_around),
        ("masks", a_large_map),
        ("masks.coco", a_long_number),
        ("masks.coco", an_endless_number),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_bomb_takes_no_memory(kind: Any, bomb: Callable[[dict[str, Any]], None]) -> None:
    fields = msgspec.msgpack.decode(encode_result(SMALL, kind))
    bomb(fields["panoptic"])
    message = msgspec.msgpack.encode(fields)
    assert len(message) < MEGABYTE
    assert peak_bytes_refusing(message) < 2 * MEGABYTE


def test_a_text_of_tens_of_millions_of_lengths_takes_little_more_than_itself() -> None:
    fields = msgspec.msgpack.decode(encode_result(SMALL, "masks.coco"))
    fields["panoptic"]["coco"][0] = "0" * (7 * DEFAULT_LIMITS.runs - 100)
    message = msgspec.msgpack.encode(fields)
    assert peak_bytes_refusing(message) < 5 * len(message)


def peak_bytes_refusing(message: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decode_result(message)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_publisher_that_announces_4_gb_is_cut_off() -> None:
    """A peer that speaks ZMTP 3.0 and then begins a message part of 4 GB."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x04XPUB"
    announced = b"\x02" + (4 << 30).to_bytes(8, "big")
    cut_off = threading.Event()

    def serve(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.settimeout(PATIENCE_SECONDS)
            peer.sendall(greeting + b"\x04" + bytes([len(ready)]) + ready + announced + bytes(64))
            while peer.recv(4096):
                pass
            cut_off.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,), daemon=True)
        server.start()
        with Subscriber(f"tcp://127.0.0.1:{listening.getsockname()[1]}", "door/all") as subscriber:
            assert cut_off.wait(PATIENCE_SECONDS)
            assert subscriber.receive(timeout_seconds=0.1) is None
        server.join(PATIENCE_SECONDS)
