"""Writing records to Redis Streams: a batch at a time, all of it or nothing, in order, each entry once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.config import RedisConfig
from pipeline.errors import SinkError, WireError
from pipeline.redis_connection import Gate, connected, is_refusal, told
from pipeline.wire import RESULT_KINDS, EntryId, Header, ResultKind, decode_header, encode_header, parse_id, stream_of
from pipeline.wire.streams import HEADER, NOTHING, PAYLOAD
from stages.publish.age_index import AgeIndex
from stages.publish.record import Record
from stages.publish.redis_policy import check_policy
from stages.publish.tail import Entry, Tail

if TYPE_CHECKING:
    import redis

REFUSED_ID = "equal or smaller than the target stream"


class Away(Exception):  # noqa: N818 - reads as what happened: Redis is away
    """Redis did not take a batch, or did not say whether it took it; it is to be written again, as it is."""


@dataclass(slots=True)
class Written:
    """What became of a batch."""

    delivered: Counter[str] = field(default_factory=Counter)  # records by source
    refused: Counter[str] = field(default_factory=Counter)
    declared: Counter[str] = field(default_factory=Counter)  # frames declared lost here, by source
    bytes: int = 0
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry with its stream, and the record it is for."""

    stream: str
    entry: Entry
    record: Record


class StreamWriter:
    """A connection, and the end of every stream. For one thread, except for `abort`."""

    def __init__(self, config: RedisConfig, ages: AgeIndex | None, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Raises `UsageError` for an address that cannot be read."""
        assert config.url is not None
        self._config, self._ages, self._now_ns = config, ages, now_ns
        self._kinds: tuple[ResultKind, ...] = tuple(kind for kind in RESULT_KINDS if kind in config.kinds)
        self._gate = Gate()
        self._client: redis.Redis = connected(
            config.url,
            gate=self._gate,
            connect_timeout_seconds=config.connect_timeout_seconds,
            timeout_seconds=config.timeout_seconds,
        )
        self._tails: dict[str, Tail] = {}
        self._looked_at: set[str] = set()  # streams whose end was looked at on this connection
        self._complained: set[str] = set()  # streams

    @property
    def kinds(self) -> tuple[ResultKind, ...]:
        """The kinds of results that are stored."""
        return self._kinds

    def connect(self) -> None:
        """Find out whether Redis is there and will keep what it is given. Raises `Away`; `SinkError` if it will not."""
        from redis.exceptions import RedisError

        self._gate.is_open = True
        try:
            self._client.ping()
            check_policy(self._client)
        except (RedisError, OSError) as exc:
            self.abort()
            if is_refusal(exc):
                raise SinkError(f"redis: {self._told(exc)}") from exc
            raise Away(self._told(exc)) from exc
        finally:
            self._gate.is_open = False
        self._looked_at.clear()

    def abort(self) -> None:
        """Cut the connection, and whatever waits for an answer on it; from any thread."""
        self._client.connection_pool.disconnect()

    def write(self, records: Sequence[Record]) -> Written:
        """Write a batch. Raises `Away`, after which the very same is to be written again, by `connect` first."""
        from redis.exceptions import RedisError

        written = Written()
        try:
            self._look_at(records, written)
            tails = {stream: self._tails[stream].copy() for stream in self._streams_of(records)}
            planned = list(self._plan(records, tails))
            refused = self._send(planned, written)
            self._judge(refused, written)
        except (RedisError, OSError) as exc:
            self.abort()
            raise Away(self._told(exc)) from exc
        self._tails.update(tails)
        of_refused = {id(p.record) for p in refused}
        written.delivered.update(r.source_id for r in records if r.type != "over" and id(r) not in of_refused)
        return written

    def trim_by_age(self) -> None:
        """Drop what is too old. Raises `Away`."""
        from redis.exceptions import RedisError

        if self._ages is None:
            return
        now_ns = self._now_ns()
        due = list(self._ages.too_old(now_ns))
        try:
            pipe = self._client.pipeline(transaction=False)
            for stream, first in due:
                pipe.xtrim(stream, minid=str(first), approximate=False)
            pipe.execute(raise_on_error=False)
        except (RedisError, OSError) as exc:
            for stream, first in due:
                self._ages.note(stream, first, now_ns)  # so that a stream that nothing is written to is not forgotten
            self.abort()
            raise Away(self._told(exc)) from exc

    # The ends of streams

    def _streams_of(self, records: Iterable[Record]) -> dict[str, str]:
        """Streams of results, each with its source."""
        sources = {record.source_id for record in records if record.type != "status"}
        return {self._stream(source, kind): source for source in sorted(sources) for kind in self._kinds}

    def _stream(self, source_id: str, kind: Any) -> str:
        return stream_of(self._config.prefix, source_id, kind)

    def _look_at(self, records: Sequence[Record], written: Written) -> None:
        """Find the ends of streams that were not looked at on this connection, and what is missing there."""
        streams = {s: source for s, source in self._streams_of(records).items() if s not in self._looked_at}
        if not streams:
            return
        gaps: list[Planned] = []
        for (stream, source_id), found in zip(streams.items(), self._ends(list(streams)), strict=True):
            tail = self._tails.get(stream)
            if tail is None:
                self._tails[stream] = found
                if self._ages is not None and found.id > NOTHING and stream not in self._ages:
                    self._ages.note(stream, found.id, self._now_ns())
            elif found.id > tail.id and found.session == tail.session:
                found.acknowledged = tail.acknowledged
                self._tails[stream] = found
            elif found.id < tail.id:
                kind: Any = stream.rpartition("/")[2]
                lost = list(tail.lost_since(found, kind, source_id=source_id, time_ns=self._now_ns()))
                gaps += [Planned(stream, entry, records[0]) for entry in lost]
                frames = sum(entry.declares for entry in lost)
                written.declared[source_id] += frames
                written.complaints.append(
                    f"{stream} ends at {found.id}, and {tail.id} was acknowledged: Redis has lost {frames} frames that "
                    "it had confirmed (a failover, or a restart without persistence); they are declared as a gap"
                )
        if gaps:
            self._send(gaps, written)
            for planned in gaps:
                tail = self._tails[planned.stream]
                tail.id = max(tail.id, planned.entry.id)
        self._looked_at |= set(streams)

    def _ends(self, streams: list[str]) -> Iterator[Tail]:
        """The end of each stream as it is in Redis; of one that is not there, the beginning."""
        pipe = self._client.pipeline(transaction=False)
        for stream in streams:
            pipe.xrevrange(stream, count=1)
            pipe.xinfo_stream(stream)
        answers = pipe.execute(raise_on_error=False)
        for newest, about in zip(answers[::2], answers[1::2], strict=True):
            if isinstance(newest, Exception):
                if "WRONGTYPE" not in str(newest):
                    raise newest
                yield Tail()  # writing to it will be refused
            elif newest:
                yield Tail.found(parse_id(newest[0][0]), _header_of(newest[0][1]))
            elif isinstance(about, dict):
                yield Tail.found(parse_id(about["last-generated-id"]), None)
            else:
                yield Tail()

    # Writing

    def _plan(self, records: Iterable[Record], tails: dict[str, Tail]) -> Iterator[Planned]:
        for record in records:
            if record.type == "status":
                if "status" in self._config.kinds:
                    yield Planned(self._stream(record.source_id, "status"), _status_entry(record), record)
                continue
            for kind in self._kinds:
                stream = self._stream(record.source_id, kind)
                for entry in tails[stream].advance(record, kind):
                    yield Planned(stream, entry, record)

    def _send(self, planned: Sequence[Planned], written: Written) -> list[Planned]:
        """Write all in one transaction, which Redis refuses as a whole where its memory is full; what it refused."""
        if not planned:
            return []
        pipe = self._client.pipeline(transaction=True)
        length = self._config.max_length
        trimming = () if length is None else ("MAXLEN", "~", length)
        for p in planned:
            entry = p.entry
            pipe.execute_command(  # type: ignore[no-untyped-call]
                "XADD", p.stream, *trimming, str(entry.id), HEADER, entry.header, PAYLOAD, entry.payload
            )
        refused = []
        for p, answer in zip(planned, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(answer, Exception):
                refused.append(p)
                if REFUSED_ID not in str(answer):
                    self._complain(written, p.stream, f"{p.stream} does not take entries: {answer}")
                continue
            written.bytes += len(p.entry.header) + len(p.entry.payload)
            written.declared[p.record.source_id] += p.entry.declares
            if self._ages is not None:
                self._ages.note(p.stream, p.entry.id, p.record.time_ns)
        return refused

    def _judge(self, refused: list[Planned], written: Written) -> None:
        """Of entries whose ids were refused, those that are there are done: `refused` keeps the others."""
        if not refused:
            return
        pipe = self._client.pipeline(transaction=False)
        for p in refused:
            pipe.xrange(p.stream, str(p.entry.id), str(p.entry.id))
        for p, found in zip(list(refused), pipe.execute(raise_on_error=False), strict=True):
            if isinstance(found, list) and found and _same_item(found[0][1], p.entry):
                refused.remove(p)
                if found[0][1].get(HEADER) != p.entry.header:
                    self._complain(
                        written,
                        p.stream,
                        f"{p.stream} holds {p.entry.id} and what follows from an earlier run of the same recording; "
                        f"that was kept. To store it anew: redis-cli del '{p.stream}'",
                    )
                continue
            written.refused[p.record.source_id] += 1
            self._complain(
                written,
                p.stream,
                f"{p.stream} holds larger ids than {p.entry.id}, which is therefore refused: Redis was restored from "
                "elsewhere, another publisher writes there, or the epochs of this one were lost; use another "
                f"redis.prefix, or give the stream up: redis-cli del '{p.stream}'",
            )

    def _complain(self, written: Written, stream: str, text: str) -> None:
        """Once a stream."""
        if stream not in self._complained:
            self._complained.add(stream)
            written.complaints.append(text)

    def _told(self, error: Exception) -> str:
        assert self._config.url is not None
        return told(error, self._config.url)


def _status_entry(record: Record) -> Entry:
    header = Header(
        type="status",
        kind="status",
        session=record.session,
        number=record.number,
        publish_time_ns=record.time_ns,
    )
    return Entry(EntryId(record.epoch, record.first), encode_header(header), record.payloads["status"])


def _header_of(fields: Any) -> Header | None:
    """The header of an entry; None for one of another make."""
    try:
        return decode_header(fields.get(HEADER, b""))
    except WireError:
        return None


def _same_item(fields: Any, entry: Entry) -> bool:
    """Whether an entry at the same id tells of the same: its id says which frame, its header whether it is a result."""
    there = _header_of(fields)
    return there is not None and there.type == decode_header(entry.header).type
