"""Several copies of a training, a process each, that take every step together.

On a CPU this beats one process with several threads: a layer of a small network is over before its threads have met,
while copies meet once a step (measured on two busy cores: twice the pictures a second).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, distributed, nn

from pipeline.errors import EveryframeError, ModelError
from stages.models.training.history import Listener

_OVER, _FAILED, _INTERRUPTED = 0, 1, 3
_LOOK_SECONDS = 0.5


class TrainingFailed(ModelError):  # noqa: N818 - reads as what happened
    """The training cannot go on: its loss is no number any more, or its files cannot be written."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Which copy this is, of how many."""

    rank: int = 0
    count: int = 1

    def agree(self, network: nn.Module, progress: float) -> float:
        """Replace every gradient by its mean over the copies; give the mean of `progress`, so that all end together."""
        if self.count == 1:
            return progress
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), torch.tensor([progress])])
        distributed.all_reduce(flat)
        flat /= self.count
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat[:-1], sizes), strict=True):
            _fill(gradient, mean)
        return float(flat[-1])


def _fill(gradient: Tensor, flat: Tensor) -> None:
    gradient.copy_(flat.view(gradient.shape))


Interrupted = Callable[[], bool]
Body = Callable[[Replica, Listener | None, Interrupted], bool]


def run_replicas(
    count: int, body: Body, tell: Listener | None = None, interrupted: Interrupted = lambda: False
) -> bool:
    """Run `body` in `count` processes that can reach each other; a function of a module, or a partial of one.

    Args:
        count: how many; one runs in this process.
        body: is given its replica, what to tell of steps, and what to ask whether it shall end.
        tell: told of the first copy's steps.
        interrupted: asked now and then whether the copies, which then end together after a step, shall do so.

    Returns:
        What the copies gave: they agree.

    Raises:
        TrainingFailed: when a copy fails, as it tells; the others are ended.
    """
    if count == 1:
        return body(Replica(), tell, interrupted)
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        asked = context.Event()
        pipes = [context.Pipe(duplex=False) for _ in range(count)]
        copies = [
            context.Process(target=_join, args=(Replica(rank, count), meeting, pipes[rank][1], asked, body))
            for rank in range(count)
        ]
        for copy in copies:
            copy.start()
        for _, writer in pipes:
            writer.close()
        try:
            return _await(copies, [reader for reader, _ in pipes], tell, interrupted, asked)
        finally:
            for copy in copies:
                copy.kill()
                copy.join()


def _await(
    copies: Sequence[BaseProcess],
    pipes: Sequence[Connection],
    tell: Listener | None,
    interrupted: Interrupted,
    asked: Event,
) -> bool:
    """Until all are over, or one has failed."""
    open_pipes, ending = list(pipes), False
    while open_pipes:
        if interrupted() and not ending:
            ending = True
            asked.set()
        for pipe in wait(open_pipes, timeout=_LOOK_SECONDS):
            if not _take(cast(Connection, pipe), tell):
                open_pipes.remove(cast(Connection, pipe))
    for copy in copies:
        copy.join()
    codes = [copy.exitcode for copy in copies]
    if ending and any(codes):  # a signal to all may have ended a copy before it was deaf to it
        return False
    if any(code not in (_OVER, _INTERRUPTED) for code in codes):
        raise TrainingFailed(f"a copy of the training ended by itself, with code {codes}; the same command goes on")
    return all(code == _OVER for code in codes)


def _take(pipe: Connection, tell: Listener | None) -> bool:
    """What a copy says; False where it says no more."""
    try:
        said = pipe.recv()
    except EOFError:
        return False
    if isinstance(said, str):
        raise TrainingFailed(said)
    if tell is not None:
        tell(said)
    return True


def _join(replica: Replica, meeting: str, pipe: Connection, asked: Event, body: Body) -> None:
    """The life of a copy; its exit code says how it ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # what reaches all processes is the first one's to hear and to tell
        signal.signal(number, signal.SIG_IGN)
    distributed.init_process_group("gloo", init_method=meeting, rank=replica.rank, world_size=replica.count)
    try:
        over = body(replica, pipe.send, asked.is_set)
    except EveryframeError as exc:
        pipe.send(str(exc))
        os._exit(_FAILED)  # no farewell from those who wait for this copy's gradients
    distributed.destroy_process_group()
    sys.exit(_OVER if over else _INTERRUPTED)
