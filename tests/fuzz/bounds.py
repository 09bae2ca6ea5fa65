"""What a fuzzing process may not do: take more memory than it was given, or speak to anybody."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path
from typing import Any

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # flags of unshare(2)
_SPEAKING = frozenset(
    {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
)


class NetworkTouchedError(RuntimeError):
    """The code under test tried to reach a network."""


def confine(*, memory_mb: int) -> None:
    """Bound this process, for good; call it before any thread starts and before anything large is imported.

    `memory_mb` bounds the address space on top of what is mapped already. Python's sockets raise
    `NetworkTouchedError`; where the kernel allows it, native code has no network either.
    """
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK)  # refused in many containers; the hook below holds everywhere
    sys.addaudithook(_refuse_network)
    limit = mapped_bytes() + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def mapped_bytes() -> int:
    """Address space this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def peak_rss_bytes() -> int:
    """The most memory this process has held since it began, or since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("/proc/self/status holds no VmHWM")


def forget_peak() -> None:
    """Let the peak begin at what is held now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event in _SPEAKING:
        raise NetworkTouchedError(f"{event} was called")
