"""Results in Redis Streams: a stream for each source and kind, every frame there once, as a result or in a gap.

Whoever hands results over waits for nothing: a thread writes them, from a bounded queue; while Redis is away they wait
in a bounded spool on disk, which outlives the process. See `pipeline/wire/README.md` for what stands in a stream.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pipeline.config import RedisConfig
from pipeline.errors import SinkError, WireError
from pipeline.messages import FrameResult, Gap, SourceStatus, Surface
from pipeline.stage import Place, Progress
from pipeline.wire import encode_result, encode_status
from stages.publish.age_index import AgeIndex
from stages.publish.handed_over import HandedOver, Mark
from stages.publish.inlet import Inlet
from stages.publish.record import Record, cut
from stages.publish.redis_writer import Away, StreamWriter, Written
from stages.publish.spool import Spool

BATCH = 128  # records written at once
QUEUE_RECORDS = 8_192
QUEUE_BYTES = 64 * 1024 * 1024
FIRST_PAUSE_SECONDS = 0.1  # before Redis is tried again
LONGEST_PAUSE_SECONDS = 2.0
IDLE_SECONDS = 0.5
TRIM_SECONDS = 1.0
MOST_COMPLAINTS = 100  # kept until they are asked for
CLOSE_SECONDS = 1.0  # to write what is left


class RedisSink:
    """A `Sink`, and a `CodedSink`. What is handed over comes from one thread."""

    name: Literal["redis"] = "redis"
    needs_surface: Literal[False] = False

    def __init__(
        self,
        config: RedisConfig,
        spool_directory: Path,
        *,
        session: int | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Start writing; Redis need not be there yet.

        Args:
            config: with an address.
            spool_directory: this sink's alone.
            session: of items that come without a `Place`; a random 64-bit number unless given.

        Raises:
            UsageError: the address cannot be read.
            SinkError: Redis refuses us, or evicts; the spool cannot be had.
        """
        self._now_ns = now_ns
        self._session = secrets.randbits(64) if session is None else session
        self._numbers: defaultdict[str, int] = defaultdict(int)  # of results and gaps, by source
        self._statuses: defaultdict[str, int] = defaultdict(int)  # numbers of statuses
        self._status_place = (0, 0)  # of the last one, anywhere
        self._places: dict[str, Place] = {}  # the last of each source
        self._spool = Spool(spool_directory, most_bytes=config.spool_mb * 1024 * 1024)
        self._handed_over = HandedOver(spool_directory / "handed-over")
        self._ages = _ages(config, spool_directory)
        self._inlet = Inlet(most_bytes=QUEUE_BYTES, most_records=QUEUE_RECORDS)
        self._complaints: deque[SinkError] = deque(maxlen=MOST_COMPLAINTS)
        self._delivered: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._waiting_bytes = 0
        self._connected = self._was_told = self._disk_was_told = False
        self._retry_at, self._pause = 0.0, FIRST_PAUSE_SECONDS
        self._trim_at = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="everyframe-redis", daemon=True)
        try:
            self._writer = StreamWriter(config, self._ages, now_ns=now_ns)
            self._connect_first()
        except BaseException:
            self._spool.close()
            self._handed_over.close()
            raise
        self._stores_statuses = "status" in config.kinds
        self._thread.start()

    # Handing over

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Take one item. Raises `SinkError` when closed."""
        if isinstance(item, FrameResult):
            coded = encode_result(item)
            self.write_result(item.source_id, item.epoch, item.seq, coded, gap_before=item.gap_before, place=None)
        elif isinstance(item, Gap):
            self.write_gap(item, place=None)
        else:
            self._write_status(item)

    def write_result(
        self, source_id: str, epoch: int, seq: int, payload: bytes, *, gap_before: int, place: Place | None
    ) -> None:
        """See `CodedSink`. Raises `SinkError` when closed."""
        self._note(source_id, Mark(epoch, seq + 1))
        session, number = self._place(source_id, place)
        self._put(
            Record(
                type="result",
                source_id=source_id,
                epoch=epoch,
                first=seq,
                last=seq,
                session=session,
                number=number,
                time_ns=self._now_ns(),
                gap_before=gap_before,
                payloads={"all": payload},
            )
        )

    def write_gap(self, gap: Gap, *, place: Place | None) -> None:
        """See `CodedSink`. Raises `SinkError` when closed."""
        self._note(gap.source_id, Mark(gap.epoch, gap.last_seq + 1))
        session, number = self._place(gap.source_id, place)
        self._put(
            Record(
                type="gap",
                source_id=gap.source_id,
                epoch=gap.epoch,
                first=gap.first_seq,
                last=gap.last_seq,
                session=session,
                number=number,
                time_ns=self._now_ns(),
                reason=gap.reason,
            )
        )

    def over(self, source_id: str, epoch: int, captured: int) -> None:
        """See `CodedSink`."""
        if captured > 0:
            session, number = self._places.get(source_id, Place(self._session, 0))
            self._put(
                Record(
                    type="over",
                    source_id=source_id,
                    epoch=epoch,
                    first=0,
                    last=captured - 1,
                    session=session,
                    number=number,
                    time_ns=self._now_ns(),
                )
            )

    def _write_status(self, status: SourceStatus) -> None:
        if not self._stores_statuses:
            return
        self._statuses[status.source_id] += 1
        time_ns = self._now_ns()
        # Ids of statuses are times: what comes within a millisecond, or while the clock is set back, counts on.
        self._status_place = max((time_ns // 1_000_000, 0), (self._status_place[0], self._status_place[1] + 1))
        self._put(
            Record(
                type="status",
                source_id=status.source_id,
                epoch=self._status_place[0],
                first=self._status_place[1],
                last=0,
                session=self._session,
                number=self._statuses[status.source_id],
                time_ns=time_ns,
                payloads={"status": encode_status(status)},
            )
        )

    def _place(self, source_id: str, place: Place | None) -> Place:
        if place is None:
            self._numbers[source_id] += 1
            place = Place(self._session, self._numbers[source_id])
        self._places[source_id] = place
        return place

    def _note(self, source_id: str, mark: Mark) -> None:
        """Before an item is handed over, so that none can be lost unsaid."""
        if self._closing.is_set():
            raise SinkError("redis: closed")
        left = self._handed_over.left.pop(source_id, None)
        if left is not None and left.epoch < mark.epoch:
            # What a killed run lost from memory is a gap. A recording that is analysed again begins at epoch 1 again,
            # and gives those very frames.
            self.over(source_id, *left)
        try:
            self._handed_over.note(source_id, mark)
        except OSError as exc:
            self._tell_of_disk(f"how far a source is cannot be written: {exc.strerror}; a kill may lose frames unsaid")

    def _put(self, record: Record) -> None:
        if self._closing.is_set():
            raise SinkError("redis: closed")
        self._inlet.put(record)

    # Telling

    def progress(self) -> Progress:
        """See `CodedSink`."""
        return Progress(
            reachable=self._connected,
            delivered=dict(self._delivered),
            lost=dict(Counter(dict(self._lost)) + Counter(dict(self._inlet.lost))),
            waiting=self._inlet.unsettled + self._spool.records,
            waiting_bytes=self._waiting_bytes,
        )

    def complaints(self) -> list[SinkError]:
        """See `CodedSink`."""
        told = []
        while self._complaints:
            told.append(self._complaints.popleft())
        return told

    # The thread

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._turn(self._inlet.take(BATCH, wait_seconds=self._wait_seconds()))
            self._finish()
        except Exception as exc:
            self._complaints.append(SinkError(f"nothing is stored any more: {type(exc).__name__}: {exc}"))
            raise
        finally:
            self._connected = False
            if self._ages is not None:
                self._save_ages(at_once=True)
            self._spool.close()

    def _wait_seconds(self) -> float:
        """How long there is nothing to do if nothing comes."""
        if self._connected:
            return 0.0 if not self._spool.is_empty else IDLE_SECONDS
        return max(0.0, min(IDLE_SECONDS, self._retry_at - time.monotonic()))

    def _turn(self, records: list[Record]) -> None:
        """Write what came, behind what has waited; or have it wait."""
        records = [cut_one for record in records if (cut_one := self._cut(record)) is not None]
        if not (self._spool.is_empty and self._deliver(records)):
            self._keep(records)
        self._inlet.settle()
        waited = self._spool.peek(BATCH)
        if waited and self._deliver(waited):
            self._spool.advance(len(waited))
        self._waiting_bytes = self._spool.size
        self._trim()

    def _finish(self) -> None:
        """Write what is left while Redis takes it and time allows; the rest waits on disk for the next run."""
        until = time.monotonic() + CLOSE_SECONDS
        while (records := self._inlet.take(BATCH, wait_seconds=0.0)) or not self._spool.is_empty:
            self._turn(records)
            if not records and (not self._connected or time.monotonic() > until):
                return

    def _cut(self, record: Record) -> Record | None:
        try:
            return cut(record, self._writer.kinds)
        except WireError as exc:
            self._complaints.append(SinkError(str(exc)))
            self._lost[record.source_id] += 1
            return None

    def _deliver(self, records: list[Record]) -> bool:
        """Write a batch; whether it is there now. Without one, see whether Redis is there."""
        if not self._connected and not self._connect():
            return False
        if not records:
            return True
        try:
            written = self._writer.write(records)
        except Away as exc:
            self._away(str(exc))
            return False
        self._count(written)
        return True

    def _count(self, written: Written) -> None:
        self._delivered += written.delivered
        self._lost += written.refused
        self._complaints.extend(SinkError(text) for text in written.complaints)

    def _keep(self, records: list[Record]) -> None:
        """Have records wait on disk."""
        for record in records:
            lost = self._spool.append(record)
            self._lost.update(one.source_id for one in lost if one.type != "over")
        if self._spool.failure:
            self._tell_of_disk(f"the spool cannot be written: {self._spool.failure}; what is lost becomes gaps")

    def _tell_of_disk(self, what: str) -> None:
        """Once, whatever else it does not take."""
        if not self._disk_was_told:
            self._disk_was_told = True
            self._complaints.append(SinkError(what))

    def _connect_first(self) -> None:
        try:
            self._writer.connect()
            self._connected = True
        except Away as exc:
            self._away(str(exc))

    def _connect(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._writer.connect()
        except (Away, SinkError) as exc:
            self._away(str(exc))
            return False
        self._connected, self._was_told, self._pause = True, False, FIRST_PAUSE_SECONDS
        return True

    def _away(self, why: str) -> None:
        self._connected = False
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
        if not self._was_told:
            self._was_told = True
            self._complaints.append(SinkError(f"takes nothing now: {why}; results wait on disk until it does"))

    def _trim(self) -> None:
        """Drop what is too old, also of streams that nothing is written to any more."""
        if self._ages is None or not self._connected or time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + TRIM_SECONDS
        try:
            self._writer.trim_by_age()
        except Away as exc:
            self._away(str(exc))
        self._save_ages()

    def _save_ages(self, *, at_once: bool = False) -> None:
        assert self._ages is not None
        try:
            self._ages.save(self._now_ns(), at_once=at_once)
        except OSError as exc:
            self._tell_of_disk(f"the index of ages cannot be written: {exc.strerror}")

    def close(self) -> None:
        """Write what is left if Redis takes it, else leave it on disk; within a few seconds."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._inlet.close()
        self._thread.join(1.5 * CLOSE_SECONDS)
        if self._thread.is_alive():
            self._writer.abort()
            self._thread.join(CLOSE_SECONDS)
        self._handed_over.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ages(config: RedisConfig, directory: Path) -> AgeIndex | None:
    return None if config.max_age_seconds is None else AgeIndex(config.max_age_seconds, directory / "ages")
