"""Where a reader connects, a publisher binds and Redis is: our errors, or an address of the form that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.client.connect_address import check_connect
from pipeline.errors import ConfigError, UsageError
from pipeline.redis_address import check_redis_address, is_redis
from stages.publish.bind_address import check_bind

LOOPBACK = ("tcp://127.", "tcp://[", "ipc://")


def one_input(data: bytes) -> None:
    """The bytes as text, as both."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        assert check_connect(text) == text
        assert text.startswith("ipc://") or text.rpartition(":")[2].isascii()
    except UsageError:
        pass
    try:
        assert check_redis_address(text) == text
        assert is_redis(text) or text.startswith("${")
    except UsageError:
        pass
    try:
        bound = check_bind(text)
    except ConfigError:
        return
    assert bound.startswith(LOOPBACK)
    assert bound.startswith("ipc://") or bound.isascii()


def seeds() -> Iterator[bytes]:
    """Addresses of every form that is taken, and some that are not."""
    yield from (b"tcp://127.0.0.1:5560", b"tcp://[::1]:5560", b"tcp://localhost:*", b"ipc://@name", b"ipc:///tmp/x")
    yield from (b"tcp://0.0.0.0:1", b"tcp://*:5560", b"tcp://camera.lan:65535", b"udp://127.0.0.1:9")
    yield from (b"redis://:${P}@host:6379/0", b"rediss://u:${P}@host/0?ssl_ca_certs=/ca", b"unix:///run/redis/s")
    yield "tcp://127.0.0.1:\u0663".encode()  # a digit, but none of ZeroMQ's
