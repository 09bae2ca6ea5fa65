"""Readers in a process of their own, which tells when each result came to each of them.

`zeromq` are plain SUB sockets and `redis` plain sockets that ask for more with XREAD: both decode the header alone, so
that it is the publisher's side that is measured. `subscriber` is one `pipeline.client.Subscriber`, which decodes all.
However many there are, one thread reads them in turn, so the last of a hundred also waits for the other ninety-nine.
"""

from __future__ import annotations

import multiprocessing
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, BinaryIO, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import zmq

from pipeline.client import Subscriber
from pipeline.messages import FrameResult
from pipeline.wire import decode_header, stream_of, topic_of
from pipeline.wire.streams import HEADER

How = Literal["zeromq", "redis", "subscriber"]
SOURCE, PREFIX = "door", "everyframe:"
PATIENCE_SECONDS = 30.0  # without a message
READY = b"ready"
AT_ONCE = 1_000  # entries that Redis gives in one answer


@dataclass(frozen=True, slots=True)
class Receipts:
    """When what came, and what reading cost."""

    at_ns: npt.NDArray[np.int64]  # [readers, results], monotonic
    cpu_seconds: float


class Readers:
    """A process with so many readers, from when all are there until all have every result. A context manager."""

    def __init__(self, how: How, address: str, kind: str, *, readers: int, results: int) -> None:
        """`kind` of the source `SOURCE`, of which `results` will be published, numbered from 1."""
        spawning = multiprocessing.get_context("spawn")
        self._shape = (readers, results)
        self._here, there = spawning.Pipe(duplex=False)
        self._process = spawning.Process(target=_read, args=(how, address, kind, self._shape, there), daemon=True)

    def wait(self, meanwhile: Callable[[], None]) -> None:
        """Until all are there; `meanwhile` is called again and again, for what the publisher has to do for that."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._here.poll(0.01):
            meanwhile()
            if time.monotonic() > deadline or not self._process.is_alive():
                raise TimeoutError(f"{self._shape[0]} readers did not come within {PATIENCE_SECONDS:.0f} s")
        assert self._here.recv_bytes() == READY

    def receipts(self) -> Receipts:
        """What came. Raises `TimeoutError` where that is not everything."""
        if not self._here.poll(2 * PATIENCE_SECONDS):
            raise TimeoutError("the readers did not end")
        (cpu_seconds,), at_ns = struct.unpack("<d", self._here.recv_bytes()), self._here.recv_bytes()
        at = np.frombuffer(at_ns, dtype=np.int64).reshape(self._shape)
        if not at.all():
            raise TimeoutError(f"{np.count_nonzero(at)} messages came; {at.size} were sent")
        return Receipts(at, cpu_seconds)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()


class Reader(Protocol):
    """One of many, by turns."""

    @property
    def waitable(self) -> Any:
        """What a `zmq.Poller` waits on."""

    def take(self) -> list[int]:
        """The numbers of the results that have come; 0 for what is none."""


class RawZeroMQ:
    """A SUB socket of one kind, and of statuses, the first of which says that the subscription has arrived."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, kind: Any) -> None:
        self.waitable: Any = context.socket(zmq.SUB)
        self.waitable.setsockopt(zmq.RCVHWM, 0)
        self.waitable.connect(address)
        self.waitable.subscribe(topic_of(SOURCE, kind))
        self.waitable.subscribe(topic_of(SOURCE, "status"))

    def take(self) -> list[int]:
        """See `Reader`."""
        numbers = []
        while self.waitable.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            _, head, _ = self.waitable.recv_multipart()
            header = decode_header(head)
            numbers.append(header.number if header.type == "result" else 0)
        return numbers


class RawRedis:
    """A socket that waits with XREAD for what comes behind the last entry, and asks again with every answer."""

    def __init__(self, address: str, kind: Any) -> None:
        host, _, port = address.removeprefix("redis://").removesuffix("/0").partition(":")
        self._stream = stream_of(PREFIX, SOURCE, kind).encode()
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        self.waitable = self._socket.fileno()
        self._ask(b"0")

    def take(self) -> list[int]:
        """See `Reader`."""
        ((_, entries),) = _answer(self._answers)
        self._ask(entries[-1][0])
        numbers = []
        for _, fields in entries:
            header = decode_header(fields[fields.index(HEADER) + 1])
            numbers.append(header.number if header.type == "result" else 0)
        return numbers

    def _ask(self, behind: bytes) -> None:
        words = (b"XREAD", b"COUNT", b"%d" % AT_ONCE, b"BLOCK", b"0", b"STREAMS", self._stream, behind)
        coded = (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        self._socket.sendall(b"*%d\r\n%b" % (len(words), b"".join(coded)))


def _answer(file: BinaryIO) -> Any:
    """One answer of Redis: of its protocol, version 2, what XREAD needs."""
    line = file.readline()
    if line[:1] == b"*":
        return [_answer(file) for _ in range(int(line[1:]))]
    if line[:1] == b"$":
        return file.read(int(line[1:]) + 2)[:-2]
    raise ValueError(f"Redis answers {line!r}")


def _read(how: How, address: str, kind: str, shape: tuple[int, int], back: Connection) -> None:
    """The process: say when all readers are there, then tell when what came."""
    at_ns = np.zeros(shape, dtype=np.int64)
    read = _with_subscriber if how == "subscriber" else _by_turns
    cpu_seconds = read(how, address, kind, at_ns, lambda: back.send_bytes(READY))
    back.send_bytes(struct.pack("<d", cpu_seconds))
    back.send_bytes(at_ns.tobytes())


def _by_turns(how: How, address: str, kind: str, at_ns: npt.NDArray[np.int64], ready: Callable[[], None]) -> float:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    readers: list[Reader] = [
        RawZeroMQ(context, address, kind) if how == "zeromq" else RawRedis(address, kind) for _ in at_ns
    ]
    poller = zmq.Poller()
    rows = {}
    for row, reader in zip(at_ns, readers, strict=True):
        poller.register(reader.waitable, zmq.POLLIN)
        rows[reader.waitable] = (reader, row)
    # Every reader gets every status, also those that others' coming brings about: each must have had one.
    unheard = set(rows) if how == "zeromq" else set()
    if not unheard:
        ready()
    left, cpu = at_ns.size, time.process_time()
    while left and (came := poller.poll(int(PATIENCE_SECONDS * 1e3))):
        for waitable, _ in came:
            reader, row = rows[waitable]
            numbers = reader.take()
            now = time.monotonic_ns()
            for number in filter(None, numbers):
                row[number - 1] = now
                left -= 1
            if unheard and 0 in numbers:
                unheard.discard(waitable)
                if not unheard:
                    ready()
                    cpu = time.process_time()
    cpu = time.process_time() - cpu
    context.destroy(linger=0)
    return cpu


def _with_subscriber(_: How, address: str, kind: str, at_ns: npt.NDArray[np.int64], ready: Callable[[], None]) -> float:
    over_redis = address.startswith("redis:")
    topics = [f"{SOURCE}/{kind}"] if over_redis else [f"{SOURCE}/{kind}", f"{SOURCE}/status"]
    with Subscriber(address, topics, start="beginning" if over_redis else None) as subscriber:
        if not over_redis:
            subscriber.receive(timeout_seconds=PATIENCE_SECONDS)  # the status
        ready()
        left, cpu = at_ns.size, time.process_time()
        while left and (item := subscriber.receive(timeout_seconds=PATIENCE_SECONDS)) is not None:
            if isinstance(item, FrameResult):
                at_ns[0, item.seq] = time.monotonic_ns()
                left -= 1
        return time.process_time() - cpu
