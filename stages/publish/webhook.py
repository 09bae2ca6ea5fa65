"""Events or results posted to an address as JSON, one a request, in order, at least once.

A request carries ``Idempotency-Key``, the message's identity, which is the same however often it is sent; with a secret
also ``X-Everyframe-Timestamp`` (seconds since 1970) and ``X-Everyframe-Signature``, ``sha256=`` and the HMAC-SHA256, in
hexadecimal, of the timestamp, a full stop and the body. What was not answered with 2xx is tried again with growing
waits, and given up after `attempts`, or at once where trying again is no use: another 4xx than 408, 425 and 429, or a
redirect, since none is followed. What is given up, or found no room while it waited, is counted and complained of.
Nothing here holds up who publishes.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import msgspec
import urllib3

from pipeline.config import WebhookConfig, expand
from pipeline.errors import SinkError
from pipeline.messages import FrameResult, Gap, Item, Surface
from pipeline.stage import Progress
from pipeline.wire import item_to_json
from stages.publish.deliveries import Deliveries
from stages.publish.events import TrackEvent, TrackEvents
from stages.publish.formats.frigate import to_frigate

FLUSH_SECONDS: Final = 2.0  # at the end, while messages arrive
END_SECONDS: Final = 0.5
ANSWER_BYTES: Final = 65_536  # read of an answer, so that the connection can be used again
TRY_AGAIN: Final = (408, 425, 429)
USER_AGENT: Final = "everyframe"
STOPPED: Final = "stopped"


@dataclass(frozen=True, slots=True)
class Post:
    """A message to be posted."""

    source_id: str
    identity: str
    body: bytes


class WebhookSink:
    """Posts from a thread of its own."""

    name: Literal["webhook"] = "webhook"
    needs_surface: Literal[False] = False

    def __init__(
        self,
        config: WebhookConfig,
        *,
        secret: bytes | None = None,
        flush_seconds: float = FLUSH_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`secret` is what the setting names. Raises `AddressError` for a variable of the address that is not set."""
        assert config.url is not None
        self._config, self._secret = config, secret
        self._flush_seconds, self._chance = flush_seconds, chance
        url = urlsplit(expand(config.url))
        self._events = TrackEvents()
        # Of its address the host alone is shown: a webhook's path is a secret as often as not.
        self._deliveries = Deliveries(f"{url.scheme}://{url.netloc.rpartition('@')[2]}")
        self._waiting: deque[Post] = deque()
        self._changed = threading.Condition()
        self._current: Post | None = None
        self._reachable, self._closed, self._stop = True, False, False
        self._http, self._target, self._headers = _client(url, config.timeout_seconds)
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def write(self, item: Item, surface: Surface | None = None) -> None:
        """Queue what an item comes to."""
        if self._closed:
            raise SinkError("webhook: it is closed")
        for post in self._posts(item):
            self._queue(post)

    def progress(self) -> Progress:
        """Messages by source, which are events unless results are sent."""
        with self._changed:
            waiting = len(self._waiting) + (self._current is not None)
        return self._deliveries.progress(reachable=self._reachable, waiting=waiting)

    def complaints(self) -> list[SinkError]:
        """What went wrong since this was last asked."""
        return self._deliveries.complaints()

    def close(self) -> None:
        """End every track, give what waits a moment to leave, and stop. Calling it twice does no harm."""
        if self._closed:
            return
        self._closed = True
        if self._config.send == "events":
            for event in self._events.end_all():
                self._queue(_of_event(event))
        with self._changed:
            self._changed.wait_for(
                lambda: not (self._waiting or self._current) or not self._reachable, self._flush_seconds
            )
            self._stop = True
            self._changed.notify_all()
        self._thread.join(END_SECONDS)
        with self._changed:
            left = [*([self._current] if self._current else []), *self._waiting]
            self._current = None
            self._waiting.clear()
        self._deliveries.leave([post.source_id for post in left])

    def _posts(self, item: Item) -> Iterator[Post]:
        if self._config.send == "events":
            yield from map(_of_event, self._events.take(item))
        elif isinstance(item, FrameResult):
            identity = f"{item.source_id}/{item.epoch}/{item.seq}"
            yield Post(item.source_id, identity, msgspec.json.encode(item_to_json(item)))
        elif isinstance(item, Gap):
            identity = f"{item.source_id}/{item.epoch}/{item.first_seq}-{item.last_seq}"
            yield Post(item.source_id, identity, msgspec.json.encode(item_to_json(item)))

    def _queue(self, post: Post) -> None:
        dropped = None
        with self._changed:
            if len(self._waiting) >= self._config.queue_messages:
                dropped = self._waiting.popleft()
            self._waiting.append(post)
            self._changed.notify_all()
        if dropped is not None:
            self._deliveries.lose(dropped.source_id, "the queue is full; the oldest messages are lost")

    # From here on in the sink's own thread.

    def _work(self) -> None:
        while (post := self._next()) is not None:
            why = self._deliver(post)
            if why == STOPPED:
                return
            with self._changed:
                if self._current is None:
                    return  # it took too long: `close` has given it up
                self._current = None
                self._changed.notify_all()
            if why is None:
                self._deliveries.arrived(post.source_id)
            else:
                self._deliveries.lose(post.source_id, f"{post.identity} is given up: {why}")

    def _next(self) -> Post | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stop)
            if self._stop:
                return None
            self._current = self._waiting.popleft()
            return self._current

    def _deliver(self, post: Post) -> str | None:
        """Try until it has arrived, or it is given up: why; `STOPPED` where the end came between two tries."""
        why = ""
        for attempt in range(self._config.attempts):
            if attempt and not self._pause(attempt):
                return STOPPED
            answer = self._try(post)
            if isinstance(answer, str):
                why = answer
            elif 200 <= answer.status < 300:
                self._reachable = True
                return None
            else:
                why = _refusal(answer)
                if answer.status < 500 and answer.status not in TRY_AGAIN:
                    return why
            with self._changed:
                self._reachable = False
                self._changed.notify_all()
        return f"{why}, {self._config.attempts} times"

    def _try(self, post: Post) -> urllib3.BaseHTTPResponse | str:
        """The answer, or why there is none."""
        headers = {**self._headers, "Idempotency-Key": post.identity, **self._signature(post.body)}
        try:
            answer = self._http.request(
                "POST", self._target, body=post.body, headers=headers, redirect=False, preload_content=False
            )
            with answer:
                answer.read(ANSWER_BYTES)
            return answer
        except urllib3.exceptions.HTTPError as exc:
            return f"no answer ({_kind(exc)})"

    def _signature(self, body: bytes) -> dict[str, str]:
        if self._secret is None:
            return {}
        timestamp = str(int(time.time()))
        signature = hmac.new(self._secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"X-Everyframe-Timestamp": timestamp, "X-Everyframe-Signature": f"sha256={signature}"}

    def _pause(self, attempt: int) -> bool:
        """Wait before an attempt; false if there is to be none."""
        longest = min(self._config.retry_max_seconds, self._config.retry_first_seconds * 2 ** min(attempt - 1, 32))
        seconds = longest * (0.5 + 0.5 * self._chance())  # spread, so that many who wait do not come at once
        with self._changed:
            return not self._changed.wait_for(lambda: self._stop, seconds)


def _of_event(event: TrackEvent) -> Post:
    return Post(event.after.source_id, event.identity, msgspec.json.encode(to_frigate(event)))


def _client(url: SplitResult, timeout_seconds: float) -> tuple[urllib3.PoolManager, str, dict[str, str]]:
    """What posts, to where, with which headers; credentials go from the address into a header."""
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    target = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
    timeout = urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds)
    return urllib3.PoolManager(1, timeout=timeout, retries=False), target, headers


def _refusal(answer: urllib3.BaseHTTPResponse) -> str:
    if 300 <= answer.status < 400:
        return f"it answers {answer.status}, a redirect, and none is followed; name where it points in webhook.url"
    return f"it answers {answer.status}"


def _kind(error: urllib3.exceptions.HTTPError) -> str:
    """What went wrong without its text, which may hold the address."""
    reason: Any = getattr(error, "reason", None) or error
    return type(reason).__name__
