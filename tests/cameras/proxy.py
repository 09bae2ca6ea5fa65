"""A bad network between a camera and its reader: delay, silence, a narrow line, a reset, on cue.

::

    with RtspCamera(numbered_video()) as camera, FaultProxy(camera.port) as line:
        reader = open_source(SourceConfig(url=line.through(camera.url)), ...)
        line.set(Line(latency_seconds=0.2))     # from now on, also for connections that are open
        line.reset()                            # RST on every connection

It carries TCP, both ways, without looking into it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
_CHUNK_BYTES = 1 << 16
_QUEUED_CHUNKS = 1024  # on their way with some latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How bytes travel from the camera to its reader; by default at once. The other way is always good."""

    latency_seconds: float = 0.0
    bytes_a_second: float = math.inf
    slice_bytes: int = _CHUNK_BYTES  # most that is handed on at once
    slice_seconds: float = 0.0  # between two slices
    limit_bytes: float = math.inf  # of a connection, which is closed after so many
    silent: bool = False  # nothing is handed on, and nothing is closed
    close_seconds: float = 0.0  # after the camera hung up, until the reader is told


class FaultProxy:
    """Listens on a port of its own for one camera; a context manager that leaves no thread and no socket behind."""

    def __init__(self, camera_port: int, line: Line | None = None) -> None:
        self.connections = 0
        self._camera_port = camera_port
        self._line = line or Line()
        self._pairs: set[_Pair] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self.port = 0
        self.up()

    def through(self, url: str) -> str:
        """The camera's address by way of this proxy."""
        port = urlsplit(url).port
        return url.replace(f"{HOST}:{port}", f"{HOST}:{self.port}", 1)

    def set(self, line: Line) -> None:
        """The line from now on, for connections that are open too."""
        self._line = line

    def up(self) -> None:
        """Take connections; after `down`, on the same port again."""
        self._await(self._listen())

    def down(self) -> None:
        """Refuse connections, and cut those there are, as a camera does that loses its power."""
        self._await(self._close_listener())
        self.reset()

    def reset(self) -> None:
        """RST on every connection."""
        self._await(self._cut())

    def close(self) -> None:
        """Cut everything and stop listening."""
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connect, HOST, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        await asyncio.gather(*(pair.ended.wait() for pair in pairs))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pair = _Pair(line=lambda: self._line, towards_reader=writer)
        self._pairs.add(pair)
        try:
            await pair.carry(reader, self._camera_port)
        finally:
            self._pairs.discard(pair)


class _Pair:
    """One connection of a reader and the one to the camera that belongs to it."""

    def __init__(self, *, line: Callable[[], Line], towards_reader: asyncio.StreamWriter) -> None:
        self.ended = asyncio.Event()
        self._line = line
        self._towards_reader = towards_reader
        self._tasks: list[asyncio.Task[None]] = []

    def reset(self) -> None:
        """Cut it with an RST."""
        for task in self._tasks:
            task.cancel()

    async def carry(self, from_reader: asyncio.StreamReader, camera_port: int) -> None:
        """Both ways, until either end closes or it is reset."""
        towards_camera = None
        try:
            from_camera, towards_camera = await asyncio.open_connection(HOST, camera_port)
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
            self._tasks = [
                asyncio.ensure_future(_hand_on(from_reader, towards_camera)),
                asyncio.ensure_future(self._gather(from_camera, queue)),
                asyncio.ensure_future(self._deliver(queue)),
            ]
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.cancelled() for task in self._tasks):
                self._towards_reader.close()
        except OSError:  # the camera is not there
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            _abort(self._towards_reader)
            if towards_camera is not None:
                _abort(towards_camera)
            self.ended.set()

    async def _gather(self, from_camera: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Put what the camera says into the queue, with the time at which it is due; an empty one is the end."""
        now = asyncio.get_running_loop().time
        with suppress(OSError):
            while data := await from_camera.read(_CHUNK_BYTES):
                await queue.put((now() + self._line().latency_seconds, data))
        await queue.put((now() + self._line().close_seconds, b""))
        await asyncio.Event().wait()  # what is in the queue is still to be delivered

    async def _deliver(self, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Hand on what is due, as the line allows."""
        now = asyncio.get_running_loop().time
        sent = 0
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not data:
                return
            while data:
                line = self._line()
                if line.silent:
                    await asyncio.sleep(0.02)
                    continue
                part = data[: max(0, int(min(line.slice_bytes, line.limit_bytes - sent, _tick(line))))]
                if not part:
                    return
                data, sent = data[len(part) :], sent + len(part)
                self._towards_reader.write(part)
                await self._towards_reader.drain()
                await asyncio.sleep(line.slice_seconds + len(part) / line.bytes_a_second)


def _tick(line: Line) -> float:
    """Bytes of a fiftieth of a second, so that a narrow line flows and does not gush."""
    return max(1.0, line.bytes_a_second / 50)


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close at once: with an RST, unless `close` was called before."""
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
