"""A process that reads what may kill it, and is started again when it did."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[3]
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of reading one source."""

    outcome: str  # "read", the name of one of our errors, "foreign", "hang", or "died: SIGSEGV"
    frames: int = 0
    why: str = ""
    held_mb: int = 0  # memory before
    peak_mb: int = 0  # the most that was held meanwhile
    seconds: float = 0.0

    @property
    def died(self) -> bool:
        """Whether the process did not outlive it."""
        return self.outcome.startswith("died")


class Victim:
    """Starts `tests.fuzz.media.child` where it is not running, gives it work, and waits no longer than allowed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.starts = 0

    def read(self, url: str, *, seconds: float, max_frames: int = 1000, **settings: Any) -> Verdict:
        """Have a source read; `settings` are those of `SourceConfig`."""
        process = self._process or self._start()
        started = time.monotonic()
        try:
            answer = _ask(process, {"url": url, "settings": settings, "max_frames": max_frames}, seconds)
        except TimeoutError:
            answer = {"outcome": "hang"}
        except (EOFError, BrokenPipeError):
            answer = {"outcome": f"died: {_name(process.wait(START_SECONDS))}"}
        verdict = Verdict(**answer, seconds=time.monotonic() - started)
        if verdict.died or verdict.outcome == "hang":
            self.close()
        return verdict

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError):  # what it was told and never read
                process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[str]:
        self.starts += 1
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.media.child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # The first job pays for the imports, so that the deadline of the others is theirs alone.
        _ask(process, {"url": os.devnull, "settings": {}, "max_frames": 1}, START_SECONDS)
        return process


def _ask(process: subprocess.Popen[str], job: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer. Raises `TimeoutError`; `EOFError` or `BrokenPipeError` where the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    if not select.select([process.stdout], [], [], seconds)[0]:
        raise TimeoutError(f"no answer within {seconds:g} s")
    line = process.stdout.readline()
    if not line.endswith("\n"):
        raise EOFError("the process ended before its answer")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
