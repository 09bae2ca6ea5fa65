"""A real `redis-server` of a test's own: no port that others know, no files but in a scratch folder."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from tests.certificates import Pair

PATIENCE_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


def is_available() -> bool:
    return shutil.which("redis-server") is not None


def has_tls() -> bool:
    """Whether it was built to speak TLS: else it does not know the setting, and says so before it minds the value."""
    asked = subprocess.run(["redis-server", "--port", "0", "--tls-port", "x"], capture_output=True, check=False)
    return b"Bad directive" not in asked.stdout + asked.stderr


class RedisServer:
    """Runs from entering on; `kill` and `start` again keep the folder, so what was saved. A context manager."""

    def __init__(self, folder: Path, *, tcp: bool = False, tls: Pair | None = None, **settings: str) -> None:
        """`settings` as in redis.conf, with `_` for `-`. Nothing is saved unless they say so.

        With `tls`, its certificate and key, it also listens at `tls_port`; nobody else is asked for a certificate.
        """
        self._folder, self._settings = folder, {"save": "", "appendonly": "no", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port() if tcp else 0
        self.tls_port = _free_port() if tls else 0
        if tls is not None:
            self._settings |= {"tls-port": str(self.tls_port), "tls-auth-clients": "no", "bind": "127.0.0.1"}
            self._settings |= {"tls-cert-file": str(tls.certificate), "tls-key-file": str(tls.key), **settings}
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"redis://127.0.0.1:{self.port}/0" if tcp else f"unix://{folder}/s"
        self.client: Any = redis.Redis.from_url(self.url, protocol=2)

    def start(self) -> None:
        """Returns when it answers."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1"] if self.port else ["--port", "0"]
        if not self.port:
            where += ["--unixsocket", f"{self._folder}/s"]
        settings = [word for name, value in self._settings.items() for word in (f"--{name.replace('_', '-')}", value)]
        command = ["redis-server", *where, "--dir", str(self._folder), "--daemonize", "no", *settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.client.ping()
                return
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: what was not saved is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.client.connection_pool.disconnect()

    def suspend(self) -> None:
        """It takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        tasks = list(Path(f"/proc/{self._process.pid}/task").iterdir())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any((task / "stat").read_text().rpartition(")")[2].split()[0] != "T" for task in tasks):
            assert time.monotonic() < deadline, "redis-server does not stop"
            time.sleep(0.001)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def entries(self, stream: str) -> list[tuple[str, dict[bytes, bytes]]]:
        """All of a stream, ids as text."""
        return [(at.decode(), fields) for at, fields in self.client.xrange(stream)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        self.client.close()


def _end_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
