"""What a process of ours uses, as the kernel counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# Places after the command's name in /proc/<pid>/stat (proc_pid_stat(5)), whose first is the state.
_PARENT, _USER, _SYSTEM, _RESIDENT = 1, 11, 12, 21


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process since it started."""

    resident_bytes: int
    cpu_seconds: float


def usage_of(pid: int, *, parent: int | None = None) -> Usage | None:
    """One read of ``/proc``; None for a process that has gone, or is no child of `parent` (an id used again)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    values = stat.rpartition(b")")[2].split()
    if parent is not None and int(values[_PARENT]) != parent:
        return None
    ticks = int(values[_USER]) + int(values[_SYSTEM])
    return Usage(resident_bytes=int(values[_RESIDENT]) * _PAGE_BYTES, cpu_seconds=ticks / _TICKS)
