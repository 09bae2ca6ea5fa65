"""The socket at which a running pipeline is spoken to, by processes of the same user and of root only."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from pipeline.control.names import SETTING, address_of, may_ask
from pipeline.control.protocol import (
    MOST_REQUEST_BYTES,
    Refused,
    Reply,
    Request,
    encode,
    read_request,
    receive,
    send,
)
from pipeline.errors import EveryframeError, LinkError, UsageError, WireError

MOST_CONNECTIONS: Final = 8
REQUEST_SECONDS: Final = 5.0  # for a client to say what it wants, and again to read the answer


class ControlServer:
    """Answers requests in threads of its own, a few at a time. A context manager.

    A client that is slow, silent or not understood costs its connection, and holds nobody up.
    """

    def __init__(self, name: str) -> None:
        """Take the name; who asks waits until `serve`. Raises `UsageError` where such a pipeline runs already."""
        self.name = name
        self._answer: Callable[[Request], Reply]
        self._listener = _listening(name)
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name="everyframe-control", daemon=True)

    def serve(self, answer: Callable[[Request], Reply]) -> None:
        """Answer from now on; `answer` is called from several threads."""
        self._answer = answer
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more. Calling it twice does no harm."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
        self._listener.close()
        for channel in list(self._open):
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                channel, _ = self._listener.accept()
            except OSError as exc:
                if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED):
                    continue
                return  # closed
            if may_ask(channel) and self._room.acquire(blocking=False):
                self._open.add(channel)
                threading.Thread(target=self._serve, args=(channel,), name="everyframe-request", daemon=True).start()
            else:
                channel.close()

    def _serve(self, channel: socket.socket) -> None:
        try:
            with channel, suppress(WireError):  # whoever asked has gone, or is nobody to talk to
                data = receive(channel, most_bytes=MOST_REQUEST_BYTES, seconds=REQUEST_SECONDS)
                send(channel, encode(self._reply(data)), seconds=REQUEST_SECONDS)
        finally:
            self._open.discard(channel)
            self._room.release()

    def _reply(self, data: bytes) -> Reply:
        try:
            request = read_request(data)
        except WireError:
            return Refused("WireError", "the request is not understood; is the pipeline of another version?")
        try:
            return self._answer(request)
        except EveryframeError as exc:
            return Refused(type(exc).__name__, str(exc))
        except Exception as exc:  # noqa: BLE001 - a fault of ours is told without what may hold a secret
            return Refused("EveryframeError", f"internal error: {type(exc).__name__}")


def _listening(name: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(address_of(name))
        listener.listen(MOST_CONNECTIONS)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise UsageError(
                f"{SETTING}: a pipeline called {name!r} runs already; stop it, or give this one another name"
            ) from exc
        raise LinkError(f"the control socket of {name!r} cannot be opened: {exc.strerror}") from exc
    return listener
