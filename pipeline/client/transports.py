"""Which address means which transport."""

from __future__ import annotations

import os
import secrets
import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.client.connect_address import check_connect
from pipeline.client.curve import reader_keys
from pipeline.client.redis_cursors import NOW, Cursors
from pipeline.client.redis_group import Group
from pipeline.client.redis_streams import Streams
from pipeline.client.redis_transport import Reading, RedisTransport
from pipeline.client.topics import Request
from pipeline.client.transport import Transport
from pipeline.client.zeromq import ZeroMQTransport
from pipeline.errors import UsageError, WireError
from pipeline.redis_address import is_redis
from pipeline.wire import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a `Subscriber` was told, besides the address and the topics; it says what each means."""

    high_water_mark: int
    limits: Limits
    server_key: str | Path | None
    key: str | Path | None
    start: str | None
    group: str | None
    consumer: str | None
    claim_after_seconds: float
    dead_after: int
    alarm: Callable[[str], None] | None
    prefix: str


def open_transport(address: str, requests: Sequence[Request], options: Options) -> Transport:
    """The transport for an address. Raises `UsageError`, also for an option that the transport does not know."""
    if is_redis(address):
        if options.server_key is not None or options.key is not None:
            raise UsageError("server_key, key: they are for tcp://; Redis has its credentials in the address")
        streams = Streams(requests, options.prefix)
        return RedisTransport(address, streams, _reading(options), prefix=options.prefix, limits=options.limits)
    for name in ("start", "group", "consumer"):
        if getattr(options, name) is not None:
            raise UsageError(f"{name}: only what Redis keeps can be read so; the address is no redis://")
    return ZeroMQTransport(
        check_connect(address),
        requests,
        high_water_mark=options.high_water_mark,
        limits=options.limits,
        keys=reader_keys(options.server_key, options.key),
    )


def _reading(options: Options) -> Reading:
    start = options.start or NOW
    try:
        if options.group is None:
            if options.consumer is not None:
                raise UsageError("consumer: it needs a group")
            return Cursors(start)
        own_name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        return Group(
            _word("group", options.group),
            consumer=own_name if options.consumer is None else _word("consumer", options.consumer),
            is_own_name=options.consumer is None,
            start=start,
            claim_after_seconds=options.claim_after_seconds,
            dead_after=options.dead_after,
            alarm=options.alarm or _warn,
        )
    except WireError as exc:
        raise UsageError(f"start: {exc}; 'now' and 'beginning' are allowed too") from exc


def _word(name: str, value: str) -> str:
    if not value or len(value) > 200 or not value.isprintable():
        raise UsageError(f"{name}: {value[:50]!r}; a name of 1 to 200 printable characters is needed")
    return value


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
