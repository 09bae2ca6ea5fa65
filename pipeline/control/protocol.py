"""What is asked of a running pipeline, and what it answers: msgpack, read only under these types and limits.

One request and one reply a connection, each behind its length in four bytes.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TypeVar

import msgspec

from pipeline.config import SourceConfig
from pipeline.errors import WireError
from pipeline.messages import SourceStatus

MOST_REQUEST_BYTES = 64 << 10
MOST_REPLY_BYTES = 8 << 20
_LENGTH = struct.Struct("<I")


class AddSource(msgspec.Struct, frozen=True, tag="add"):
    """Let a source take part; without a `source_id` it is named by the documented rule."""

    source: SourceConfig


class RemoveSource(msgspec.Struct, frozen=True, tag="remove"):
    """Have a source end, and forget it."""

    source_id: str


class PauseSource(msgspec.Struct, frozen=True, tag="pause"):
    """Have a source give no frames."""

    source_id: str


class ResumeSource(msgspec.Struct, frozen=True, tag="resume"):
    """Have it go on."""

    source_id: str


class ListSources(msgspec.Struct, frozen=True, tag="list"):
    """Tell how every source is doing."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Read the configuration file again, and apply what changed."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It was done, to the source of this name."""

    source_id: str = ""


class ListedSource(msgspec.Struct, frozen=True):
    """A source, its address without secrets."""

    status: SourceStatus
    address: str
    added: bool  # while running, and so kept over a restart
    device: str = ""  # where its frames are looked at; empty where there is one device


class Sources(msgspec.Struct, frozen=True, tag="sources"):
    """All sources of a pipeline."""

    pipeline: str
    sources: list[ListedSource]


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded"):
    """Names of the sources that a reload touched, and how many it did not."""

    added: list[str]
    removed: list[str]
    changed: list[str]
    untouched: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It was not done: the class of the error and its message."""

    error: str
    message: str


Request = AddSource | RemoveSource | PauseSource | ResumeSource | ListSources | Reload
Reply = Done | Sources | Reloaded | Refused
Message = TypeVar("Message")

_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def read_request(data: bytes) -> Request:
    """What is asked. Raises `WireError`."""
    return _read(_requests, data)


def read_reply(data: bytes) -> Reply:
    """What is answered. Raises `WireError`."""
    return _read(_replies, data)


def _read(decoder: msgspec.msgpack.Decoder[Message], data: bytes) -> Message:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise WireError(f"control: the message is not understood: {exc}") from exc


def encode(message: Request | Reply) -> bytes:
    """A message as bytes."""
    return msgspec.msgpack.encode(message)


def send(channel: socket.socket, data: bytes, *, seconds: float) -> None:
    """Send a message within a time. Raises `WireError`."""
    channel.settimeout(seconds)
    try:
        channel.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as exc:
        raise WireError(f"control: the message could not be sent: {exc.strerror or exc}") from exc


def receive(channel: socket.socket, *, most_bytes: int, seconds: float) -> bytes:
    """The next message, whole, within a time over all. Raises `WireError`; nothing is allocated for one too long."""
    until = time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size, until))
    if length > most_bytes:
        raise WireError(f"control: message of {length} bytes; at most {most_bytes} are accepted")
    return _exactly(channel, length, until)


def _exactly(channel: socket.socket, count: int, until: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise WireError("control: no whole message came in time")
        channel.settimeout(left)
        try:
            piece = channel.recv(count - len(data))
        except OSError as exc:
            raise WireError(f"control: no whole message came: {exc.strerror or exc}") from exc
        if not piece:
            raise WireError("control: the connection ended before a whole message had come")
        data += piece
    return bytes(data)
