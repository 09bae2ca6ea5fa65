"""A web server that takes posts as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

HANG_UP = 0  # in place of a status: no answer at all


@dataclass
class Request:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with each of `answers` in turn, then with 200. A context manager."""

    answers: Sequence[int | tuple[int, dict[str, str]]] = ()
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = threading.Event()  # cleared: requests wait for their answer
        self.free.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = len(receiver.requests)
                receiver.requests.append(
                    Request(self.path, {name.title(): value for name, value in self.headers.items()}, body)
                )
                receiver.free.wait()
                answer = receiver.answers[number] if number < len(receiver.answers) else 200
                status, more = answer if isinstance(answer, tuple) else (answer, {})
                if status == HANG_UP:
                    self.close_connection = True
                    return
                self.send_response(status)
                text = b"" if status == HTTPStatus.NO_CONTENT else b"ok"
                for name, value in {**more, **({"Content-Length": "2"} if text else {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST  # noqa: N815 - the server's own name; a redirect that is followed comes so

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
