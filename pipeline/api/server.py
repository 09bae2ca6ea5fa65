"""HTTP/1.1 in a thread of the supervisor's process, with a bound on everything a client can spend.

asyncio's streams, without a framework: there are three addresses to read, and nothing to write. At most
`MOST_CONNECTIONS` are open; the oldest makes room for the next, so that clients which hold connections open keep no
health check out. A whole exchange has `EXCHANGE_SECONDS`, a head `HEAD_BYTES`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

from pipeline.api.exchange import METHODS, BadRequestError, Request, Response, refusal, request_of
from pipeline.api.guard import Guard
from pipeline.bind import Bind

MOST_CONNECTIONS: Final = 32
EXCHANGE_SECONDS: Final = 5.0
HEAD_BYTES: Final = 8192
LEFT_OVER_BYTES: Final = 65_536  # of a body nobody asked for, read so that the answer is not lost with it
BIND_SECONDS: Final = 10.0  # between attempts to take a port that another program has
STOP_SECONDS: Final = 2.0

Answer = Callable[[Request], Response]


class Server:
    """Listens while entered. A port that is taken is tried again and again, and stops nothing."""

    def __init__(
        self,
        bind: Bind,
        answer: Answer,
        guard: Guard,
        *,
        exchange_seconds: float = EXCHANGE_SECONDS,
        bind_seconds: float = BIND_SECONDS,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        """`answer` gives the response to a request that the guard lets through; called in the server's thread."""
        self._bind, self._answer, self._guard = bind, answer, guard
        self._exchange_seconds, self._bind_seconds = exchange_seconds, bind_seconds
        self._most_connections = most_connections
        self._open: dict[asyncio.Task[None], None] = {}  # in the order they came
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="everyframe-api", daemon=True)
        self._socket: socket.socket | None = None
        self.fault = ""  # why it does not listen

    @property
    def address(self) -> str:
        """Where it listens; empty while it does not."""
        if self._socket is None:
            return ""
        return f"http://{Bind(self._bind.host, self._socket.getsockname()[1])}"

    def __enter__(self) -> Self:
        self._take_port()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)

    def _take_port(self) -> None:
        family = socket.AF_INET6 if self._bind.is_v6 else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._bind.host, self._bind.port))
            listening.listen(self._most_connections)
        except OSError as exc:
            listening.close()
            self.fault = f"api.bind: {self._bind} cannot be listened on ({exc.strerror or exc})"
        else:
            self._socket, self.fault = listening, ""

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio would print: no descriptor left to accept a connection with, for one; it tries again itself."""
        self.fault = f"api: {context['message']}"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            if self._socket is not None:
                self._socket.close()

    async def _serve(self) -> None:
        while self._socket is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._bind_seconds)
                return
            self._take_port()
        server = await asyncio.start_server(self._connection, sock=self._socket, limit=HEAD_BYTES)
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self._most_connections:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        self._open[task] = None
        try:
            async with asyncio.timeout(self._exchange_seconds):
                await self._exchange(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # too slow (a TimeoutError), gone, or in the way of a newer one
        finally:
            self._open.pop(task, None)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The answer is not to wait in memory without end for a client that reads none of it.
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(await self._answered(reader))
        await writer.drain()
        writer.write_eof()
        left = LEFT_OVER_BYTES
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            request = request_of(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            return refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head may have {HEAD_BYTES} bytes").encode()
        except (BadRequestError, asyncio.IncompleteReadError):
            return refusal(HTTPStatus.BAD_REQUEST, "this is not a request of HTTP/1.x").encode()
        return self._respond(request).encode(with_body=request.method != "HEAD")

    def _respond(self, request: Request) -> Response:
        refused = self._guard.refuse(request)
        if refused is not None:
            return refused
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed} are answered", Allow=allowed)
        try:
            return self._answer(request)
        except Exception as exc:  # noqa: BLE001 - a fault in an answer is the client's news, and ends nothing
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"internal error: {type(exc).__name__}")
