"""Batches prepared in order by other processes while this one computes; what goes wrong there is told as here."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader, Dataset

from pipeline.errors import EveryframeError, ModelError
from stages.models.training.stream import Batches
from stages.models.training.targets import TrainingBatch

_AHEAD = 4  # batches that each reader may have ready


class TrainingFailed(ModelError):  # noqa: N818 - reads as what happened
    """The training cannot go on: its loss is no number any more, a process of it died, or its files fail."""


class _Steps(Dataset[TrainingBatch | EveryframeError]):
    """The batches of some steps. An error is given, not raised: raised, it would arrive with a traceback for text."""

    def __init__(self, batches: Batches, steps: range) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> TrainingBatch | EveryframeError:
        try:
            return self.batches[self.steps[index]]
        except EveryframeError as exc:
            return exc


def loaded(batches: Batches, steps: range, *, readers: int) -> Iterator[TrainingBatch]:
    """The batches of these steps in order, prepared by so many other processes; by this one for 0.

    Readers are forks. One that asks a teacher waits for ever where the process it is forked from has run a network by
    OpenVINO itself: that must not be done there.

    Raises:
        EveryframeError: what preparing one raises.
        RuntimeError: when a reader dies; see `told_of_readers`.
    """
    if not steps:
        return
    options: dict[str, Any] = {"num_workers": readers}
    if readers:
        options |= {"prefetch_factor": _AHEAD, "worker_init_fn": _deaf}
    for batch in DataLoader(_Steps(batches, steps), batch_size=None, **options):
        if isinstance(batch, EveryframeError):
            raise batch
        yield batch


@contextmanager
def told_of_readers() -> Iterator[None]:
    """While it lasts, the death of a reader, which torch raises wherever the process is, is `TrainingFailed`."""
    try:
        yield
    except RuntimeError as exc:
        if "DataLoader worker" not in str(exc):
            raise
        raise TrainingFailed(
            "a process that reads pictures was ended from outside (is memory short?); the same command goes on"
        ) from exc


def _deaf(worker: int) -> None:
    """A reader ends with its training; a signal to all processes is the training's to hear."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
