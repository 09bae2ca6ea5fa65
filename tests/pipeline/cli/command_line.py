"""Running the command as a shell does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def everyframe(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command with its arguments in a process of its own, run from the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments], **_options(cwd, environment), timeout=120, check=False
    )


def started(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """The command, left running."""
    return subprocess.Popen([sys.executable, "-m", "pipeline.cli", *arguments], **_options(cwd, environment))


def _options(cwd: Path | None, environment: dict[str, str]) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "stdin": subprocess.DEVNULL,
        "text": True,
        "cwd": cwd or ROOT,
        # A shell without job control starts background jobs deaf to Ctrl-C, and a test run may be one.
        "preexec_fn": _hear_interrupts,
        "env": {**os.environ, "PYTHONPATH": path, **environment},
    }


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def one_line(text: str) -> str:
    """The only line of an error stream."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]
