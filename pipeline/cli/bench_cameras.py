"""How many cameras this machine ingests: senders, steps, and the search over them."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from pipeline.cli.bench_search import SENDER_CORES, Limits, Search, Step
from pipeline.cli.bench_step import failed_step, run_step
from pipeline.config import NO_MODEL
from pipeline.errors import EveryframeError

SENT_FPS: Final = 25.0
CAMERAS_A_SENDER: Final = 64
SENDER_STARTING_SECONDS: Final = 120.0  # it encodes its clip first


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many cameras passed with a model, and every step tried, in the order tried."""

    model: str
    cameras: int
    steps: tuple[Step, ...]
    most: int  # that were to be tried

    @property
    def best(self) -> Step | None:
        """The step of the most cameras that passed; of several, the last."""
        passed = [step for step in self.steps if step.failure is None and step.cameras == self.cameras]
        return passed[-1] if passed else None

    @property
    def limit(self) -> Step | None:
        """The step of the fewest cameras that failed; None where all passed."""
        return min((step for step in self.steps if step.failure), key=lambda step: step.cameras, default=None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the machine."""

    seconds: float
    most: int
    p95_ms: float
    analysed_fps: float

    def limits(self, model: str) -> Limits:
        """What a step with this model must keep to."""
        lossless = model == NO_MODEL
        return Limits(sent_fps=SENT_FPS, p95_ms=self.p95_ms, analysed_fps=self.analysed_fps, lossless=lossless)


def capacity_of(model: str, wanted: Wanted, *, show: Callable[[str], None], tell: Callable[[Step], None]) -> Capacity:
    """Find out. `show` is told what goes on now, `tell` each step that has ended. Raises `EveryframeError`."""
    search, limits, steps = Search(most=wanted.most), wanted.limits(model), []
    with ExitStack() as running:
        senders: list[Sender] = []
        while (cameras := search.next) is not None:
            while len(senders) * CAMERAS_A_SENDER < cameras:
                show("encoding the clip to send")
                senders.append(running.enter_context(sender()))

            def say(what: str, cameras: int = cameras) -> None:
                show(f"{cameras} camera{'s' if cameras > 1 else ''}: {what}")

            try:
                step = run_step(
                    urls_of(senders, cameras),
                    model=model,
                    seconds=wanted.seconds,
                    senders=[sender.pid for sender in senders],
                    show=say,
                )
            except EveryframeError as exc:
                if not search.passed:
                    raise
                step = failed_step(cameras, str(exc))  # more than this machine can hold
            step = replace(step, failure=limits.failure(step))
            if step.failure is not None and step.sender_cores > SENDER_CORES * len(senders):
                step = replace(step, failure=f"{step.failure}; the senders were busy all the time")
            steps.append(step)
            tell(step)
            search.tried(cameras, passed=step.failure is None)
    return Capacity(model, search.passed, tuple(steps), wanted.most)


@dataclass(frozen=True, slots=True)
class Sender:
    """A process that is so many cameras."""

    pid: int
    port: int


def urls_of(senders: Sequence[Sender], cameras: int) -> list[str]:
    """An address for each camera, spread evenly over the senders."""
    return [f"rtsp://127.0.0.1:{senders[i % len(senders)].port}/camera-{i + 1}" for i in range(cameras)]


@contextmanager
def sender() -> Iterator[Sender]:
    """A sender, ended in every case. Raises `EveryframeError` where it does not start."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.cli.bench_sender"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        process_group=0,  # so that Ctrl-C reaches us alone, who end it
    )
    try:
        yield Sender(process.pid, _port_of(process))
    finally:
        process.kill()
        process.wait()


def _port_of(process: subprocess.Popen[bytes]) -> int:
    """The line a sender prints when it listens."""
    assert process.stdout is not None
    line, until = b"", time.monotonic() + SENDER_STARTING_SECONDS
    with selectors.DefaultSelector() as selector, process.stdout as stdout:
        selector.register(stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and (left := until - time.monotonic()) > 0:
            if selector.select(left):
                data = os.read(stdout.fileno(), 64)
                if not data:
                    break
                line += data
    if not line.endswith(b"\n"):
        raise EveryframeError("the cameras to be read did not start; python -m pipeline.cli.bench_sender says why")
    return int(line)
