"""Everything a schedule is played on: a real Redis behind a line that can fail, a pipeline, and those who read."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from pipeline import Subscriber
from pipeline.client.decode import decode_message
from pipeline.errors import WireError
from pipeline.messages import FrameResult, Gap
from pipeline.wire import DEFAULT_LIMITS
from pipeline.wire.streams import HEADER, PAYLOAD
from tests.cameras.proxy import FaultProxy, Line
from tests.delivery.history import History, Told
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
KIND = "tracks"
PREFIX = "everyframe:"
GROUP = "billing"


class Program:
    """A process of ours that is spoken to in lines."""

    def __init__(self, *arguments: str, log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._log = log

    def tell(self, line: str) -> None:
        """Say something; a process that is dead by now does not hear it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next line it says."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        assert line, f"{self._process.args} said nothing: {self._log.read_text()[-2000:]}"
        told: dict[str, Any] = json.loads(line)
        return told

    def kill(self) -> None:
        """SIGKILL, and wait for it to be gone."""
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        """Close its input, and wait for it to end."""
        self._process.communicate(timeout=PATIENCE_SECONDS)


class SlowReader(threading.Thread):
    """Subscribes over ZeroMQ with little room, and does not look at what comes while it is told to be slow."""

    def __init__(self, address: str, source_ids: list[str]) -> None:
        super().__init__(name="slow-reader", daemon=True)
        self.awake = threading.Event()
        self.awake.set()
        self.histories = {source_id: History(f"{source_id} over ZeroMQ") for source_id in source_ids}
        self._subscriber = Subscriber(address, topics=[f"*/{KIND}"], high_water_mark=16)

    def run(self) -> None:
        for item in self._subscriber.items():
            self.awake.wait()
            if isinstance(item, FrameResult | Gap):
                self.histories[item.source_id].take(told_of(item))

    @property
    def missed(self) -> int:
        """Messages that did not reach it."""
        return self._subscriber.missed

    def close(self) -> None:
        """End it."""
        self.awake.set()
        self._subscriber.close()
        self.join(PATIENCE_SECONDS)


class Rig:
    """A running pipeline and what can be done to it."""

    def __init__(self, folder: Path, redis: RedisServer, line: FaultProxy, *, sources: int, rate: int) -> None:
        self._folder, self._line = folder, line
        self.redis = redis
        self.source_ids = [f"cam{number}" for number in range(sources)]
        self.ledgers: dict[str, Any] = {}
        self.complaints: list[str] = []
        bind = f"tcp://127.0.0.1:{free_port()}"
        config = {
            "sources": [f"{source_id}=rtsp://fake?fps={rate}" for source_id in self.source_ids],
            "detector": "model",
            "publish": {"bind": bind},
            "redis": {"url": line.through(redis.url), "kinds": [KIND], "max_length": 100_000_000},
            "supervisor": {"state_directory": str(folder / "state"), "frame_deadline_seconds": 3.0},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.start()
        self.consume()
        self.slow_reader = SlowReader(bind, self.source_ids)
        self.slow_reader.start()

    def start(self) -> None:
        """Start the pipeline; returns when it publishes."""
        settled = self._folder / "settled"
        arguments = ("tests.delivery.pipeline", str(self._folder / "config.yaml"), str(settled))
        self._pipeline = Program(*arguments, log=self._folder / "pipeline.log")
        self._pipeline.hear()

    def consume(self) -> None:
        """Start a consumer of the group."""
        arguments = ("tests.delivery.consumer", self.redis.url, GROUP, f"*/{KIND}", str(self._folder / "applied"))
        self._consumer = Program(*arguments, log=self._folder / "consumer.log")

    # What can happen

    def strike(self, verb: str, role: str, source_id: str = "") -> None:
        """``kill`` or ``suspend`` a worker."""
        self._pipeline.tell(f"{verb} {role} {source_id}")

    def kill_everything(self) -> None:
        """SIGKILL to the supervisor, which takes its workers with it; then start again."""
        self._pipeline.kill()
        self.start()

    def kill_consumer(self) -> None:
        """SIGKILL, and another takes its place."""
        self._consumer.kill()
        self.consume()

    def swallow_replies(self, seconds: float) -> None:
        """Redis hears, and its answers are lost."""
        self._line.set(Line(silent=True))
        time.sleep(seconds)
        self._line.reset()
        self._line.set(Line())

    def cut(self) -> None:
        """RST on the connection to Redis."""
        self._line.reset()

    def restart_redis(self, seconds: float) -> None:
        """SIGKILL; it comes back with what it has on disk."""
        self.redis.kill()
        time.sleep(seconds)
        self.redis.start()

    def fill_redis(self, seconds: float) -> None:
        """Redis has no memory left for a while."""
        self.redis.client.config_set("maxmemory", "1")
        time.sleep(seconds)
        self.redis.client.config_set("maxmemory", "0")

    def slow_down(self, seconds: float) -> None:
        """The ZeroMQ reader looks at nothing for a while."""
        self.slow_reader.awake.clear()
        time.sleep(seconds)
        self.slow_reader.awake.set()

    # What is there at the end

    def entries(self) -> int:
        """Entries in all streams."""
        return sum(self.redis.client.xlen(self._stream(source_id)) for source_id in self.source_ids)

    def finish(self) -> None:
        """Stop in good order, with what is spooled written, and everything read."""
        self._stop()
        before = self.settled()
        self.start()  # what a run could not write in its last second, the next one does, and declares the rest
        until("every source has gone on", lambda: all(len(self.settled()[s]) > len(before[s]) for s in before))
        self._stop()
        self._catch_up(self.entries())
        self._consumer.end()
        self.slow_reader.close()

    def _catch_up(self, entries: int) -> None:
        """Wait until the consumer has seen so many, for as long as it gets on."""
        applied: set[bytes] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        with (self._folder / "applied").open("rb") as lines:
            while len(applied) < entries:
                seen = len(applied)
                applied.update(line for line in lines if line.endswith(b"\n"))
                if len(applied) > seen:
                    deadline = time.monotonic() + PATIENCE_SECONDS
                assert time.monotonic() < deadline, f"the consumer has stopped at {seen:,} of {entries:,} entries"
                time.sleep(0.05)

    def _stop(self) -> None:
        self._pipeline.tell("stop")
        told = self._pipeline.hear()
        self.ledgers, self.complaints = told["ledgers"], [*self.complaints, *told["complaints"]]
        self._pipeline.end()

    def close(self) -> None:
        """Leave nothing running."""
        self._pipeline.kill()
        self._consumer.kill()
        self.slow_reader.close()

    def stored(self) -> dict[str, History]:
        """What stands in Redis, read without any code that is tested here but the decoding of a message."""
        histories = {}
        for source_id in self.source_ids:
            history = histories[source_id] = History(f"{source_id} in Redis")
            for item in self._items(source_id):
                history.take(told_of(item))
            if history.repeated:
                history.violations.append(f"{source_id}: {history.repeated} entries stand there twice")
        return histories

    def applied(self) -> dict[str, History]:
        """What the consumers of the group have applied, in their order."""
        histories = {source_id: History(f"{source_id} in the group") for source_id in self.source_ids}
        for line in self._applied_lines():
            source_id, epoch, first, last, kind = line.split()
            histories[source_id].take(Told(int(epoch), int(first), int(last), kind == "gap"))
        return histories

    def settled(self) -> dict[str, dict[int, int]]:
        """Frames by source and epoch that the pipeline is known to have settled."""
        found: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for line in (self._folder / "settled").read_text().splitlines():
            source_id, epoch, frames = line.split()
            before = found[source_id].get(int(epoch), 0)
            found[source_id][int(epoch)] = max(before, int(frames))
        return dict(found)

    def _applied_lines(self) -> list[str]:
        path = self._folder / "applied"
        return path.read_text().splitlines() if path.exists() else []

    def _items(self, source_id: str) -> Iterator[FrameResult | Gap]:
        stream, topic, after = self._stream(source_id), f"{source_id}/{KIND}/".encode(), "-"
        while entries := self.redis.client.xrange(stream, after, "+", count=1000):
            for at, fields in entries:
                try:
                    _, item = decode_message((topic, fields[HEADER], fields[PAYLOAD]), limits=DEFAULT_LIMITS)
                except WireError as exc:
                    raise AssertionError(f"{stream} {at}: {exc}") from exc
                assert isinstance(item, FrameResult | Gap)
                yield item
            after = f"({entries[-1][0].decode()}"

    def _stream(self, source_id: str) -> str:
        return f"{PREFIX}{source_id}/{KIND}"


def told_of(item: FrameResult | Gap) -> Told:
    """An item by its identity."""
    if isinstance(item, FrameResult):
        return Told(item.epoch, item.seq, item.seq, is_gap=False)
    return Told(item.epoch, item.first_seq, item.last_seq, is_gap=True)


@contextmanager
def rigged(folder: Path, *, sources: int, rate: int) -> Iterator[Rig]:
    """A rig in an empty folder. Redis writes every entry to its disk before it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"appendonly": "yes", "appendfsync": "always", "auto_aof_rewrite_percentage": "0"}
    with RedisServer(folder / "redis", tcp=True, **settings) as redis, FaultProxy(redis.port) as line:
        rig = Rig(folder, redis, line, sources=sources, rate=rate)
        try:
            yield rig
        finally:
            rig.close()


def until(what: str, true: Any) -> None:
    """Wait for what must come true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
