"""A publisher that lets in known keys, and readers of all kinds who knock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from pipeline.build import build_publisher
from pipeline.config import PublishConfig
from pipeline.keys import KeyFiles, make_pair, secret_key
from stages.publish.zeromq import ZeroMQPublisher

PATIENCE_MS = 60_000
OUTCOMES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
LET_IN, REFUSED = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Site:
    """Keys in a folder, and the list of those that are let in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.publisher = make_pair("site", folder)
        self.clients = folder / "clients.txt"
        self.allow()

    def pair(self, name: str) -> KeyFiles:
        return make_pair(name, self.folder)

    def allow(self, *pairs: KeyFiles) -> None:
        """Make these the list, whole or not at all."""
        new = self.folder / "clients.new"
        new.write_text("# who may look\n\n" + "".join(f"{pair.public}\n" for pair in pairs))
        new.replace(self.clients)

    @property
    def settings(self) -> dict[str, Any]:
        return {"bind": "tcp://127.0.0.1:0", "key": str(self.publisher.secret_path), "clients": str(self.clients)}

    @contextmanager
    def published(self, **changes: Any) -> Iterator[ZeroMQPublisher]:
        publisher = build_publisher(PublishConfig(**{**self.settings, **changes}))
        assert publisher is not None
        with publisher:
            yield publisher


class Knocker:
    """A plain SUB socket that asks for everything, and hears how its handshake went."""

    def __init__(self, address: str, *, server: str | None = None, pair: KeyFiles | None = None) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.SUB)
        if server is not None and pair is not None:
            own = secret_key(str(pair.secret_path), setting="test")
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
        self._outcomes = self.socket.get_monitor_socket(OUTCOMES)
        self.socket.connect(address)
        self.socket.subscribe(b"")

    def outcome(self) -> int:
        """How the next handshake ends."""
        assert self._outcomes.poll(PATIENCE_MS), "the handshake did not end"
        return int(recv_monitor_message(self._outcomes)["event"])

    @property
    def got_something(self) -> bool:
        return bool(self.socket.poll(0))

    def __enter__(self) -> Knocker:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.disable_monitor()
        self._context.destroy(linger=0)
