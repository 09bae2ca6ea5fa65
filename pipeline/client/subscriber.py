"""`Subscriber`: iterate over the results that a pipeline publishes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.client.decode import decode_message
from pipeline.client.holes import HoleFiller, Seen, is_hole, seen
from pipeline.client.labels import of_labels
from pipeline.client.missed import TopicCount
from pipeline.client.statistics import SubscriberStatistics
from pipeline.client.topics import parse_request
from pipeline.client.transports import Options, open_transport
from pipeline.errors import UsageError, WireError
from pipeline.messages import FrameResult, Gap, Item
from pipeline.redis_address import DEFAULT_PREFIX, is_redis
from pipeline.wire import DEFAULT_LIMITS, Header, Limits
from pipeline.wire.topics import ASKED


class Subscriber:
    """Results from a publisher's ZeroMQ socket, or from Redis Streams, as they come; reconnects by itself.

    >>> with Subscriber("tcp://127.0.0.1:5560", topics=["door/all"]) as results:
    ...     for result in results:
    ...         print(result.seq, result.panoptic)

    Iterating gives `FrameResult`; `items` gives gaps, statuses and pictures too. It ends when nothing came for
    `timeout_seconds`, or when `close` was called, from whichever thread. What its kind leaves out of a result is empty.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5560",
        topics: str | Sequence[str] = ("*/all",),
        *,
        timeout_seconds: float | None = None,
        high_water_mark: int = 1_000,
        labels: Collection[str] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        server_key: str | Path | None = None,
        key: str | Path | None = None,
        start: str | None = None,
        group: str | None = None,
        consumer: str | None = None,
        claim_after_seconds: float = 30.0,
        dead_after: int = 5,
        alarm: Callable[[str], None] | None = None,
        prefix: str = DEFAULT_PREFIX,
        redis: str | None = None,
    ) -> None:
        """Connect; the publisher need not be there yet.

        Args:
            address: ``tcp://HOST:PORT`` or ``ipc://PATH``; or ``redis://HOST/0``, ``rediss://``, ``unix://``, in which
                ``${NAME}`` is taken from the environment; ``rediss://HOST/0?ssl_ca_certs=/PATH/ca.pem`` names an
                authority of one's own.
            topics: ``SOURCE/KIND``, kind one of boxes, tracks, masks, all, status; frame, events, or masks in another
                form: masks.half, masks.quarter, masks.crops, masks.polygons, masks.coco. ``SOURCE`` alone means its
                `all`, ``SOURCE/`` the first five kinds of it; ``*`` in place of a source means every source, found by
                its status.
            timeout_seconds: without a message for so long, iterating ends. None: never.
            high_water_mark: messages kept here while nobody iterates; what comes beyond is missed, and counted.
            labels: names of classes; of each result only what belongs to them stays. None: everything.
            limits: what is accepted of one message.
            server_key: public key of a publisher that encrypts: 40 characters, or a file that holds it.
            key: file of the secret key that such a publisher lets in ('everyframe keys make').
            start: of Redis: ``now`` (the default), ``beginning``, or the id of an entry, ``EPOCH-PLACE``. With a group,
                where it starts if there was none of that name; else it goes on where it stopped.
            group: of Redis: share the work with all readers of that name. An entry counts as handled when the next
                item is asked for; before that it comes again, to whoever is there. `missed` counts frames then.
            consumer: this reader's name within the group; by default one of its own. With a name given, a reader that
                starts again goes on at once with what it held; two must not use one name at a time.
            claim_after_seconds: what another reader of the group has held for so long is taken over.
            dead_after: what was delivered so often and not handled is put into the stream ``<stream>/dead``.
            alarm: called with a text when trimming is about to reach what the group has not handled; a warning is
                raised by default.
            prefix: of the streams' names, as the publisher has it.
            redis: of ZeroMQ: where Redis holds the same results. What ZeroMQ lost is taken from there, in its place.

        Raises:
            UsageError: an address, topic or key that cannot be read.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        if not names:
            raise UsageError("topics: none given; name at least one, such as 'door/tracks' or '*/all'")
        requests = tuple(parse_request(name) for name in names)
        self._timeout_seconds = timeout_seconds
        self._limits = limits
        self._labels = None if labels is None else frozenset([labels] if isinstance(labels, str) else labels)
        self._counts: defaultdict[str, TopicCount] = defaultdict(TopicCount)
        self._malformed = 0
        self._lock = threading.Lock()  # a transport is used by one thread at a time
        self._closed = threading.Event()
        options = Options(
            high_water_mark=high_water_mark,
            limits=limits,
            server_key=server_key,
            key=key,
            start=start,
            group=group,
            consumer=consumer,
            claim_after_seconds=claim_after_seconds,
            dead_after=dead_after,
            alarm=alarm,
            prefix=prefix,
        )
        if redis is not None and is_redis(address):
            raise UsageError("redis: for a reader of ZeroMQ that loses messages; this one reads Redis itself")
        self._filler = None if redis is None else HoleFiller(redis, prefix=prefix, limits=limits)
        self._last: dict[bytes, Seen | None] = {}  # of each topic, where holes are filled
        self._filling: Iterator[Item] = iter(())
        self._fetched = 0
        self._transport = open_transport(address, requests, options)

    def __iter__(self) -> Iterator[FrameResult]:
        """Results as they come; `gap_before` tells of frames lost before one. Raises `WireError`, see `receive`."""
        return (item for item in self.items() if isinstance(item, FrameResult))

    def items(self) -> Iterator[Item]:
        """Results and gaps in order, statuses and pictures where they were asked for. Raises `WireError`."""
        while (item := self.receive(timeout_seconds=self._timeout_seconds)) is not None:
            yield item

    def receive(self, *, timeout_seconds: float | None = None) -> Item | None:
        """The next item; None if nothing came in time, or after `close`.

        Raises:
            WireError: what came is not a message of a version read here. The next call goes on behind it.
            UsageError: one of `labels` is not known to the publisher's model.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._lock:
            if not self._closed.is_set() and (fetched := next(self._filling, None)) is not None:
                return self._chosen(fetched)
            while not self._closed.is_set() and (parts := self._transport.receive(deadline)) is not None:
                item = self._read(parts)
                if item is not None:
                    return self._chosen(item)
        return None

    @property
    def missed(self) -> int:
        """Messages so far that were sent and did not arrive."""
        return self.statistics().missed

    @property
    def gap_frames(self) -> int:
        """Frames so far that the publisher declared lost."""
        return self.statistics().gap_frames

    def statistics(self) -> SubscriberStatistics:
        """Counts so far; whatever thread iterates."""
        topics = {topic: replace(count) for topic, count in list(self._counts.items())}
        for topic, missed in self._transport.missed().items():
            topics.setdefault(topic, TopicCount()).missed += missed
        return SubscriberStatistics(
            topics=topics,
            malformed=self._malformed,
            fetched=self._fetched,
            group=self._transport.group(),
            refused=self._transport.refused,
            fault=self._transport.fault or ("" if self._filler is None else self._filler.fault),
        )

    def close(self) -> None:
        """End the iteration, wherever it runs, and disconnect. Calling it twice does no harm."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._transport.interrupt()
        with self._lock:  # whoever waited for a message has let go
            self._transport.close()
            if self._filler is not None:
                self._filler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chosen(self, item: Item) -> Item:
        """The item, a result with only those classes that were asked for."""
        return of_labels(item, self._labels) if self._labels is not None and isinstance(item, FrameResult) else item

    def _read(self, parts: Sequence[bytes]) -> Item | None:
        """Count and decode one message; None for one that only told of a source."""
        try:
            header, item = decode_message(parts, limits=self._limits)
            if not self._transport.heard(parts[0], item.source_id):
                return None
        except WireError:
            self._malformed += 1
            self._transport.refuse()
            raise
        topic = parts[0]
        if self._filler is None:
            return self._counted(topic, header, item)
        before, after = self._last.get(topic), seen(header, item)
        self._last[topic] = after or before
        if before is None or after is None or not is_hole(before, after):
            return self._counted(topic, header, item)
        self._filling = self._filled(self._filler, topic, before, after, (header, item))
        return next(self._filling)

    def _filled(
        self, filler: HoleFiller, topic: bytes, before: Seen, after: Seen, last: tuple[Header, Item]
    ) -> Iterator[Item]:
        """What was lost before a message, as far as Redis has it, and the message."""
        for header, item in filler.fetch(topic, before, after):
            self._fetched += 1
            yield self._counted(topic, header, item)
        yield self._counted(topic, *last)

    def _counted(self, topic: bytes, header: Header, item: Item) -> Item:
        count = self._counts[topic.decode().removesuffix("/").replace(f"{ASKED}/", "/")]
        count.see(header, counts_holes=self._transport.counts_holes)
        if isinstance(item, Gap):
            count.gaps += 1
            count.gap_frames += item.count
        return item
