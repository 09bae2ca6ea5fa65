"""A real Mosquitto of a test's own, on a port of this machine, and a reader of what it is told."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.faults.running import allowed

PATIENCE_SECONDS = 30.0
SBIN = "/usr/sbin"  # where Debian puts it, which not everybody's PATH has


def program() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SBIN)


class Mosquitto:
    """Runs from entering on; `kill` and `start` again keep the port and nothing else. A context manager."""

    def __init__(
        self, folder: Path, *, user: str = "", password: str = "", certificate: tuple[Path, Path] | None = None
    ) -> None:
        """With a user, nobody else is let in; `certificate`, a file each for it and its key, makes it speak TLS."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", f"allow_anonymous {str(not user).lower()}"]
        if user:
            passwords = folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), user, password], check=True)
            passwords.chmod(0o644)  # it gives up being root, and reads this after
            lines.append(f"password_file {passwords}")
        if certificate is not None:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        (folder / "mosquitto.conf").write_text("\n".join([*lines, "user root", ""]))

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it listens."""
        mosquitto = program()
        assert mosquitto is not None
        command = [mosquitto, "-c", str(self._folder / "mosquitto.conf")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        process = self._process
        until(lambda: _listens(self.port) or process.poll() is not None)
        assert process.poll() is None, (self._folder / "log").read_text()

    def kill(self) -> None:
        """SIGKILL: what it had not passed on is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """It takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class MqttReader:
    """Keeps what a broker is told, and comes back when the broker does."""

    def __init__(self, broker: Mosquitto, topic: str = "#") -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = lambda client, _, message: self.messages.append((message.topic, message.payload))
        self._client.connect_async("127.0.0.1", broker.port)
        self._client.loop_start()
        self.await_subscribed()

    def await_subscribed(self) -> None:
        assert self._subscribed.wait(allowed(PATIENCE_SECONDS)), "the broker takes no subscription"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for topic, payload in list(self.messages) if topic.endswith("/events")]

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for at, payload in list(self.messages) if at == topic]

    def availability(self) -> list[bytes]:
        return [payload for topic, payload in list(self.messages) if topic.endswith("/available")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + allowed(PATIENCE_SECONDS)
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
