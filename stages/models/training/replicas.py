"""Several copies of a training, a process each, that take every step together.

On a CPU this beats one process with several threads: a layer of a small network is over before its threads have met,
while copies meet once a step (measured on two busy cores: twice the pictures a second).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from pipeline.errors import EveryframeError
from stages.models.labelled.ending import Asked, never
from stages.models.training.history import Listener
from stages.models.training.readers import TrainingFailed

_OVER, _FAILED, _INTERRUPTED = 0, 1, 3
_LOOK_SECONDS = 0.5


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
        told = torch.tensor([progress], device=gradients[0].device)
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), told])
        distributed.all_reduce(flat)
        flat /= self.count
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat[:-1], sizes), strict=True):
            _fill(gradient, mean)
        return float(flat[-1])

    def share(self, network: nn.Module) -> None:
        """Give every copy the first one's weights and buffers."""
        if self.count == 1:
            return
        for value in network.state_dict().values():
            flat = value.detach().flatten().clone()
            distributed.broadcast(flat, 0)
            _fill(value, flat)


def _fill(gradient: Tensor, flat: Tensor) -> None:
    gradient.copy_(flat.view(gradient.shape))


Body = Callable[[Replica, Listener | None, Asked], bool]


def run_replicas(
    count: int,
    body: Body,
    tell: Listener | None = None,
    interrupted: Asked = never,
    *,
    apart: bool = False,
) -> bool:
    """Run `body` in `count` processes that can reach each other; a function of a module, or a partial of one.

    Args:
        count: how many; one runs in this process, unless it is to be `apart`.
        body: is given its replica, what to tell of steps, and what to ask whether it shall end.
        tell: told of the first copy's steps.
        interrupted: asked now and then whether the copies, which then end together after a step, shall do so.
        apart: one copy, too, has a process of its own, which nothing has run in before.

    Returns:
        What the copies gave: they agree.

    Raises:
        EveryframeError: when a copy raises it; the others are ended.
        TrainingFailed: when a copy dies, likewise.
    """
    if count == 1 and not apart:
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
        except _EndedEarly:
            return False
        finally:
            for copy in copies:
                copy.kill()
                copy.join()


class _EndedEarly(Exception):  # noqa: N818 - no error
    """A copy was ended by the signal that asked for the end."""


def _await(
    copies: Sequence[BaseProcess],
    pipes: Sequence[Connection],
    tell: Listener | None,
    interrupted: Asked,
    asked: Event,
) -> bool:
    """Until all are over, or one has failed.

    A copy's process is watched, not only its pipe: while the others wait for a dead one, nobody says anything.
    """
    running, ending = list(copies), False
    open_pipes = dict(zip(copies, pipes, strict=True))
    while running:
        if interrupted() and not ending:
            ending = True
            asked.set()
        wait([*(copy.sentinel for copy in running), *open_pipes.values()], timeout=_LOOK_SECONDS)
        for copy in list(running):
            over = not copy.is_alive()  # asked first: what it said before it ended is taken all the same
            if copy in open_pipes and not _take(open_pipes[copy], tell):
                del open_pipes[copy]
            if over:
                running.remove(copy)
                _check_end(copy, ending=ending)
    return all(copy.exitcode == _OVER for copy in copies)


def _check_end(copy: BaseProcess, *, ending: bool) -> None:
    if copy.exitcode in (_OVER, _INTERRUPTED):
        return
    if ending:  # a signal to all may have ended a copy before it was deaf to it
        raise _EndedEarly
    raise TrainingFailed(f"a copy of the training died, with code {copy.exitcode}; the same command goes on")


def _take(pipe: Connection, tell: Listener | None) -> bool:
    """All that a copy has said by now; False where it will say no more."""
    try:
        while pipe.poll():
            said = pipe.recv()
            if isinstance(said, EveryframeError):
                raise said
            if tell is not None:
                tell(said)
    except (EOFError, ConnectionError):
        return False
    return True


def _join(replica: Replica, meeting: str, pipe: Connection, asked: Event, body: Body) -> None:
    """The life of a copy; its exit code says how it ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # what reaches all processes is the first one's to hear and to tell
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    distributed.init_process_group("gloo", init_method=meeting, rank=replica.rank, world_size=replica.count)
    try:
        over = body(replica, pipe.send, asked.is_set)
    except EveryframeError as exc:
        pipe.send(exc)
        os._exit(_FAILED)  # no farewell from those who wait for this copy's gradients
    distributed.destroy_process_group()
    sys.exit(_OVER if over else _INTERRUPTED)


def _end_with_parent() -> None:
    """A copy that outlived its parent would write into the folder of the same command, given again."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(_FAILED)
