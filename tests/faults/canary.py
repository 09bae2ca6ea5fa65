"""A file that nobody may read and a host that nobody may speak to, which both notice it."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cameras import numbered_frames
from tests.cameras.files import write_video

HOST = "127.0.0.2"
_OURSELVES = "127.0.0.3"  # whence it is asked whether all has been heard
_BYE = b"bye"
FIRST = 900  # numbers of the pictures in the file
FRAMES = 5
_ACCESS, _OPEN = 0x1, 0x20  # inotify.h
_FENCE_SECONDS = 30.0


class CanaryFile:
    """A short recording, and an inotify watch that tells of everybody who opens or reads it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = write_video(folder / "canary.mp4", numbered_frames(FRAMES, 320, 240, first=FIRST))
        self._c = ctypes.CDLL(None, use_errno=True)
        self._watch = self._c.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        added = self._c.inotify_add_watch(self._watch, os.fsencode(self.path), _ACCESS | _OPEN)
        assert self._watch >= 0 <= added, os.strerror(ctypes.get_errno())

    def was_read(self) -> bool:
        """Whether anybody has opened or read it since the last time."""
        with suppress(BlockingIOError):
            return bool(os.read(self._watch, 1 << 16))
        return False

    def close(self) -> None:
        """Watch no more."""
        os.close(self._watch)


class CanaryHost:
    """Listens for connections and datagrams on two ports of a host of its own; whoever connects is hung up on."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._tcp = socket.create_server((HOST, 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((HOST, self.port))
        self._seen = {"tcp": 0, "udp": 0}
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._connections, self._datagrams)]
        for thread in self._threads:
            thread.start()

    def was_spoken_to(self) -> list[str]:
        """What was heard since the last time: whatever was sent before this was called is in it."""
        fences = {kind: seen + 1 for kind, seen in self._seen.items()}
        with socket.create_connection((HOST, self.port), source_address=(_OURSELVES, 0)):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.bind((_OURSELVES, 0))
            datagram.sendto(b"fence", (HOST, self.port))
        until = time.monotonic() + _FENCE_SECONDS
        while self._seen != fences:
            assert time.monotonic() < until
            time.sleep(0.001)
        heard, self.heard = self.heard, []
        return heard

    def _connections(self) -> None:
        with suppress(OSError):
            while True:
                client, peer = self._tcp.accept()
                client.close()
                self._take("tcp", peer)

    def _datagrams(self) -> None:
        with suppress(OSError):
            while (said := self._udp.recvfrom(1 << 16))[0] != _BYE:
                self._take("udp", said[1])

    def _take(self, kind: str, peer: tuple[str, int]) -> None:
        if peer[0] == _OURSELVES:
            self._seen[kind] += 1
        else:
            self.heard.append(f"{kind} from {peer[0]}:{peer[1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.sendto(_BYE, (HOST, self.port))
        for thread in self._threads:
            thread.join()
        self._udp.close()
