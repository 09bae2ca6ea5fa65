"""Reading streams as one of a group: each entry goes to one of its consumers, and comes again until it was handled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from pipeline.client.redis_cursors import AT_ONCE, BEGINNING, NOW
from pipeline.client.redis_streams import Entry, entries_of
from pipeline.client.statistics import GroupStatistics
from pipeline.errors import WireError
from pipeline.wire import EntryId, decode_gap, decode_header, parse_id
from pipeline.wire.streams import DEAD, HEADER, NOTHING, PAYLOAD

if TYPE_CHECKING:
    import redis

LOOK_SECONDS: Final = 1.0  # between two looks at how far the group lags
NEAR: Final = 0.8  # of a stream's entries still to be read: trimming is near
FAR: Final = 0.5  # less than this: it is no more
LONGEST_DEAD: Final = 10_000  # entries kept that were given up


class Group:
    """A consumer of a group."""

    counts_holes = False  # other consumers have the other numbers

    def __init__(
        self,
        name: str,
        *,
        consumer: str,
        is_own_name: bool,
        start: str,
        claim_after_seconds: float,
        dead_after: int,
        alarm: Callable[[str], None],
    ) -> None:
        """Raises `WireError` for a `start` that is no id.

        Args:
            consumer: this one's name.
            is_own_name: it was made up for this process alone, and goes with it.
            start: where a group begins that there was not: now, beginning or an id.
            claim_after_seconds: entries that a consumer has held for so long are taken from it.
            dead_after: deliveries after which an entry is put aside.
            alarm: told where trimming is about to take what was not read.
        """
        self._name, self._consumer, self._is_own_name = name, consumer, is_own_name
        self._start = {NOW: "$", BEGINNING: "0"}.get(start) or _before(parse_id(start))
        self._claim_after_ms = int(claim_after_seconds * 1_000)
        self._dead_after, self._alarm = dead_after, alarm
        self._streams: set[str] = set()
        self._history: dict[str, str] = {}  # how far what a consumer of this name held was read, by stream
        self._got: dict[str, EntryId] = {}  # the newest entry that came here
        self._claim_at = self._look_at = 0.0
        self._near: set[str] = set()
        self.missed: Counter[str] = Counter()  # frames, or entries, that were trimmed before they were handled
        self.lag: dict[str, int] = {}
        self.dead = self.claimed = self.alarms = 0

    def statistics(self) -> GroupStatistics:
        """Counts so far."""
        return GroupStatistics(self.claimed, self.dead, dict(self.lag), self.alarms)

    def begin(self, client: redis.Redis, streams: Iterable[str], *, came_later: bool) -> None:
        """Take part in reading streams; the group is made where there is none."""
        from redis.exceptions import ResponseError

        for stream in streams:
            try:
                client.xgroup_create(stream, self._name, id="0" if came_later else self._start, mkstream=True)
            except ResponseError as exc:
                if "BUSYGROUP" not in str(exc):
                    raise
            if stream in self._streams:
                # Again, after the connection was lost: an answer may have been lost with it, whose entries we hold.
                self._history[stream] = str(self._got.get(stream, NOTHING))
            elif not self._is_own_name:
                self._history[stream] = "0"
            self._streams.add(stream)

    def read(self, client: redis.Redis, wait_ms: int) -> list[Entry]:
        """The next entries: what a consumer of this name held, then what a dead one held, then new ones."""
        entries = self._read(client, wait_ms) if self._streams else []
        for entry in entries:
            self._got[entry.stream] = max(entry.id, self._got.get(entry.stream, NOTHING))
        return entries

    def _read(self, client: redis.Redis, wait_ms: int) -> list[Entry]:
        if self._history and (held := self._read_history(client)):
            return held
        now = time.monotonic()
        if now >= self._claim_at:
            for stream in sorted(self._streams):
                if claimed := self._claim(client, stream):
                    return claimed  # there may be more
            self._claim_at = now + max(0.1, self._claim_after_ms / 4_000)
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            for stream in sorted(self._streams):
                self._look(client, stream)
        entries, ends = self._read_new(client)
        if not entries and wait_ms:
            # Waiting takes nothing: what a group has given out before a read must be known to see what is missing.
            waited: dict[Any, Any] = {stream: str(at) for stream, at in ends.items()}
            client.xread(waited, count=1, block=wait_ms)
        return entries

    def handled(self, client: redis.Redis, entry: Entry) -> None:
        """It is not to come again."""
        client.xack(entry.stream, self._name, str(entry.id))

    def refuse(self, client: redis.Redis, entry: Entry) -> None:
        """It could not be read, and never can be: put it aside."""
        self._put_aside(client, entry, 1)

    def leave(self, client: redis.Redis) -> None:
        """Take the made-up name out of the groups, where nothing is held under it."""
        for stream in self._streams if self._is_own_name else ():
            held: Any = client.xpending(stream, self._name)
            names = [consumer["name"] for consumer in held.get("consumers") or []]
            if self._consumer.encode() not in names:
                client.xgroup_delconsumer(stream, self._name, self._consumer)

    # Reading

    # One by one: what comes again may be what its consumer died of, and must not count against those behind it.

    def _read_history(self, client: redis.Redis) -> list[Entry]:
        held: Any = dict(self._history)
        entries = entries_of(client.xreadgroup(self._name, self._consumer, held, count=1))
        self._history = {entry.stream: str(entry.id) for entry in entries}  # a stream with nothing more is done
        return self._fit(client, entries)

    def _fit(self, client: redis.Redis, entries: list[Entry]) -> list[Entry]:
        """Those to be handled: what was trimmed away can only be counted, what came too often is put aside."""
        fit = []
        for entry in entries:
            if not entry.fields:
                self.missed[entry.stream] += 1
                client.xack(entry.stream, self._name, str(entry.id))
            elif (deliveries := self._deliveries(client, entry)) > self._dead_after:
                self._put_aside(client, entry, deliveries - 1)
            else:
                fit.append(entry)
        return fit

    def _read_new(self, client: redis.Redis) -> tuple[list[Entry], dict[str, EntryId]]:
        """Entries nobody of the group has had, and where the group ended in each stream before them."""
        streams = sorted(self._streams)
        pipe = client.pipeline(transaction=True)
        for stream in streams:
            pipe.xinfo_groups(stream)
        pipe.xreadgroup(self._name, self._consumer, dict.fromkeys(streams, ">"), count=AT_ONCE)
        answers = pipe.execute()
        ends = {stream: self._end(groups) for stream, groups in zip(streams, answers[:-1], strict=True)}
        entries = entries_of(answers[-1])
        passed = dict(ends)
        for entry in entries:
            missing = missing_between(passed[entry.stream], entry)
            if missing:
                self.missed[entry.stream] += missing
            passed[entry.stream] = entry.id
        return entries, ends

    def _end(self, groups: Any) -> EntryId:
        mine = [group for group in groups if group["name"] == self._name.encode()]
        return parse_id(mine[0]["last-delivered-id"]) if mine else NOTHING

    # What others held

    def _claim(self, client: redis.Redis, stream: str) -> list[Entry]:
        """Take over an entry that was held for too long. All that is held is looked through: it is never much."""
        at = "0-0"
        while True:
            answer: Any = client.xautoclaim(
                stream, self._name, self._consumer, min_idle_time=self._claim_after_ms, start_id=at, count=1
            )
            at = answer[0].decode()
            self.missed[stream] += len(answer[2]) if len(answer) > 2 else 0  # Redis 7 tells what was trimmed away
            fit = self._fit(client, [Entry(stream, parse_id(one), fields or {}) for one, fields in answer[1]])
            self.claimed += len(fit)
            if fit or at == "0-0":
                return fit

    def _deliveries(self, client: redis.Redis, entry: Entry) -> int:
        """How often it was delivered, this time included."""
        told: Any = client.xpending_range(entry.stream, self._name, min=str(entry.id), max=str(entry.id), count=1)
        return int(told[0]["times_delivered"]) if told else 1

    def _put_aside(self, client: redis.Redis, entry: Entry, deliveries: int) -> None:
        """Both at once, so that an answer that is lost leaves it neither here nor there twice."""
        pipe = client.pipeline(transaction=True)
        fields: dict[Any, Any] = {
            **entry.fields,
            b"id": str(entry.id).encode(),
            b"group": self._name.encode(),
            b"deliveries": str(deliveries).encode(),
        }
        pipe.xadd(f"{entry.stream}{DEAD}", fields, maxlen=LONGEST_DEAD, approximate=True)
        pipe.xack(entry.stream, self._name, str(entry.id))
        pipe.execute()
        self.dead += 1

    # How far it lags

    def _look(self, client: redis.Redis, stream: str) -> None:
        """Tell when trimming, which takes the oldest, is about to reach what the group has not handled."""
        pipe = client.pipeline(transaction=True)
        pipe.xinfo_stream(stream)
        pipe.xinfo_groups(stream)
        about, groups = pipe.execute()
        mine = [group for group in groups if group["name"] == self._name.encode()]
        if not mine or mine[0].get("lag") is None:
            return
        lag = self.lag[stream] = int(mine[0]["lag"]) + int(mine[0]["pending"])
        length = int(about["length"])
        is_trimmed = int(about["entries-added"]) > length
        if is_trimmed and length and 0 < lag >= NEAR * length and stream not in self._near:
            self._near.add(stream)
            self.alarms += 1
            self._alarm(
                f"group {self._name!r} has {lag} of the {length} entries of {stream} still to handle: trimming is "
                "about to take them; add consumers, or keep more (redis.max_length, redis.max_age_seconds)"
            )
        elif lag < FAR * length:
            self._near.discard(stream)


def missing_between(end: EntryId, entry: Entry) -> int:
    """Frames between what a group was last given of a stream and what comes next: trimmed away. Of statuses none."""
    if end == NOTHING or entry.stream.endswith("/status"):
        return 0
    expected = end.last_seq + 1 if entry.id.epoch == end.epoch else 0
    first = entry.id.last_seq
    try:
        if decode_header(entry.fields.get(HEADER, b"")).type == "gap":
            first = decode_gap(entry.fields.get(PAYLOAD, b"")).first_seq
    except WireError:
        return 0  # whoever reads it is told
    return max(0, first - expected)


def _before(at: EntryId) -> str:
    """From an id on is behind the one before it."""
    return str(EntryId(at.epoch, max(0, at.place - 1)))
