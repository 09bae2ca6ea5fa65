"""`AsyncSubscriber`: what `Subscriber` does, for programs with an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from pipeline.client.statistics import SubscriberStatistics
from pipeline.client.subscriber import Subscriber
from pipeline.messages import FrameResult, Item


class AsyncSubscriber:
    """A `Subscriber` that is awaited; its arguments, its items, its counts.

    >>> async with AsyncSubscriber("tcp://127.0.0.1:5560", topics=["door/all"]) as results:
    ...     async for result in results:
    ...         print(result.seq, result.panoptic)

    It receives in a thread of its own, one item at a time and only when the next is asked for. A `receive` that is
    cancelled loses nothing: what it was waiting for comes with the next.
    """

    def __init__(self, *arguments: Any, timeout_seconds: float | None = None, **keywords: Any) -> None:
        """See `Subscriber`. Raises `UsageError`."""
        self._subscriber = Subscriber(*arguments, **keywords)
        self._timeout_seconds = timeout_seconds
        self._asked: SimpleQueue[Future[Item | None] | None] = SimpleQueue()  # one at a time, so it needs no bound
        # Not an executor: those threads are waited for at exit, and a reader that was not closed may wait for ever.
        threading.Thread(target=self._serve, name="everyframe-subscriber", daemon=True).start()
        self._awaited: asyncio.Future[Item | None] | None = None
        self._ended = self._in_receive = False

    async def __aiter__(self) -> AsyncIterator[FrameResult]:
        """Results as they come. Raises `WireError`, see `receive`."""
        async for item in self.items():
            if isinstance(item, FrameResult):
                yield item

    async def items(self) -> AsyncIterator[Item]:
        """Results and gaps in order, and what else was asked for. Raises `WireError`."""
        while (item := await self.receive(timeout_seconds=self._timeout_seconds)) is not None:
            yield item

    async def receive(self, *, timeout_seconds: float | None = None) -> Item | None:
        """The next item; None if nothing came in time, or after `close`.

        Raises:
            RuntimeError: another task is in `receive` already.
            WireError: what came is not a message of a version read here. The next call goes on behind it.
        """
        if self._ended:
            return None
        if self._in_receive:
            raise RuntimeError("AsyncSubscriber.receive: another task is waiting for an item; one at a time may")
        self._in_receive = True
        try:
            return await self._next(timeout_seconds)
        finally:
            self._in_receive = False

    async def _next(self, timeout_seconds: float | None) -> Item | None:
        if self._awaited is None:
            asked: Future[Item | None] = Future()
            self._asked.put(asked)
            self._awaited = asyncio.wrap_future(asked)
        done, _ = await asyncio.wait({self._awaited}, timeout=timeout_seconds)
        if not done:
            return None
        received, self._awaited = self._awaited, None
        return received.result()

    @property
    def missed(self) -> int:
        """Messages so far that were sent and did not arrive."""
        return self._subscriber.missed

    @property
    def gap_frames(self) -> int:
        """Frames so far that the publisher declared lost."""
        return self._subscriber.gap_frames

    def statistics(self) -> SubscriberStatistics:
        """Counts so far."""
        return self._subscriber.statistics()

    async def close(self) -> None:
        """End the iteration and disconnect. Calling it twice does no harm."""
        self._ended = True
        await asyncio.to_thread(self._subscriber.close)
        self._asked.put(None)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            try:
                asked.set_result(self._subscriber.receive())
            except Exception as exc:  # noqa: BLE001 - raised where it is awaited
                asked.set_exception(exc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
