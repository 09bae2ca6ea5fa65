"""The publisher's side as a run has it: `ZeroMQPublisher`, and `RedisSink` with a `redis-server` of its own."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pipeline.config import RedisConfig
from pipeline.messages import SourceStatus
from stages.publish.redis import RedisSink
from stages.publish.zeromq import ZeroMQPublisher
from tests.benchmarks.delivery.readers import SOURCE
from tests.redis_server import RedisServer

MOST_QUEUED = 100_000  # so that nothing is dropped: every result counts here


class Sender(Protocol):
    """Publishes results of kind `all`, cut to what is asked for. A context manager."""

    @property
    def address(self) -> str:
        """Where to subscribe."""

    def publish(self, seq: int, coded: bytes) -> None:
        """Hand one over; numbers count from 1 with every call."""

    def tend(self) -> None:
        """What is to be done while readers come."""

    def sent_bytes(self) -> int:
        """So far, topics and headers included; 0 where that is not counted."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OverZeroMQ:
    """See `Sender`."""

    def __init__(self, kind: Any) -> None:
        self._publisher = ZeroMQPublisher("tcp://127.0.0.1:0", high_water_mark=MOST_QUEUED)
        self._publisher.publish_status(SourceStatus(SOURCE, "STREAMING", epoch=1))

    @property
    def address(self) -> str:
        """See `Sender`."""
        return self._publisher.address

    def publish(self, seq: int, coded: bytes) -> None:
        """See `Sender`."""
        self._publisher.publish_result(SOURCE, coded)

    def tend(self) -> None:
        """See `Sender`."""
        self._publisher.poll()

    def sent_bytes(self) -> int:
        """See `Sender`."""
        return self._publisher.statistics().sent_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._publisher.close()


class OverRedis:
    """See `Sender`."""

    def __init__(self, kind: Any) -> None:
        self._held = ExitStack()
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        self._server = self._held.enter_context(RedisServer(folder / "server", tcp=True))
        config = RedisConfig(url=self._server.url, kinds=(kind,), max_length=MOST_QUEUED)
        self._sink = self._held.enter_context(RedisSink(config, folder / "spool"))

    @property
    def address(self) -> str:
        """See `Sender`."""
        return self._server.url

    def publish(self, seq: int, coded: bytes) -> None:
        """See `Sender`."""
        self._sink.write_result(SOURCE, 1, seq, coded, gap_before=0, place=None)

    def tend(self) -> None:
        """See `Sender`."""

    def sent_bytes(self) -> int:
        """See `Sender`."""
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()


SENDERS: dict[str, type[OverZeroMQ] | type[OverRedis]] = {"zeromq": OverZeroMQ, "redis": OverRedis}
