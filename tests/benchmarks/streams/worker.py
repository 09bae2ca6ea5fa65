"""A process with a share of the streams, as a run has one where a device is named several times.

Each line on its standard input asks for a measurement; it says when its decoders are open, waits for a line, plays, and
gives what it measured as JSON.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack
from functools import reduce
from operator import add
from typing import IO, Self

import msgspec

from stages.decode.device_parts import CudaParts
from tests.benchmarks.clips import clip_of, packets_in
from tests.benchmarks.streams.busy import Busy
from tests.benchmarks.streams.networks import graph_of
from tests.benchmarks.streams.rig import Camera, Measured, Rig

READY, TOGETHER = "ready", "together"


class Workers:
    """Processes that share a GPU, and the streams that they are given."""

    def __init__(self, count: int, kind: str, model: str, *, max_batch: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.streams", kind, model, str(max_batch)]
        self._asked = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.close)
            self._heard(READY)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them."""
        for worker in self._asked:
            _pipe(worker.stdin).close()
        for worker in self._asked:
            try:
                worker.wait(timeout=20)
            except subprocess.TimeoutExpired:
                worker.kill()

    def measure(self, streams: int, *, every: int) -> Measured:
        """Play so many cameras, spread over the processes."""
        of_each = [streams // len(self._asked) + (i < streams % len(self._asked)) for i in range(len(self._asked))]
        for i, count in enumerate(of_each):
            self._say(i, f"{sum(of_each[:i])} {count} {every}")
        self._heard(TOGETHER)
        with Busy() as busy:
            for i in range(len(self._asked)):
                self._say(i, "go")
            found = [
                msgspec.json.decode(_pipe(worker.stdout).readline() or "null", type=Measured) for worker in self._asked
            ]
        together = reduce(add, found)
        together.busy = busy.share
        return together

    def _say(self, worker: int, line: str) -> None:
        pipe = _pipe(self._asked[worker].stdin)
        pipe.write(line + "\n")
        pipe.flush()

    def _heard(self, word: str) -> None:
        for worker in self._asked:
            if (line := _pipe(worker.stdout).readline().strip()) != word:
                raise RuntimeError(f"a worker of the streams said {line!r}; {word!r} was expected")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main() -> None:
    """Measure as it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("model")
    parser.add_argument("max_batch", type=int)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(line: str) -> None:
        print(line, file=answers, flush=True)

    import PyNvVideoCodec

    clip, parts = packets_in(clip_of("h264"), library=PyNvVideoCodec), CudaParts("cuda:0")
    with graph_of(given.kind, given.model, "cuda", max_batch=given.max_batch) as graph:
        say(READY)
        for line in sys.stdin:
            first, streams, every = map(int, line.split())
            rig = Rig(graph, max_batch=given.max_batch, every=every)
            cameras = [Camera(number, *clip, parts, rig) for number in range(first, first + streams)]

            def together() -> None:
                say(TOGETHER)
                sys.stdin.readline()

            say(msgspec.json.encode(rig.measure(cameras, together=together)).decode())
            for camera in cameras:
                graph.forget(camera.source_id)
