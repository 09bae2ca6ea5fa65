"""A training's figures for TensorBoard, where somebody wants them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from stages.models.training.history import Listener, Step


@contextmanager
def tensorboard_of(folder: Path | None) -> Iterator[Listener]:
    """A listener that writes into a folder; None: one that writes nothing.

    Raises:
        ConfigError: where TensorBoard is not installed.
        DataError: where the folder cannot be written.
    """
    if folder is None:
        yield lambda step: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as exc:
        raise ConfigError("--tensorboard: it is not installed; pip install 'everyframe[train]'") from exc
    try:
        writer = SummaryWriter(str(folder))
    except OSError as exc:
        raise DataError(f"{folder}: cannot be written: {exc.strerror or exc}") from exc

    def write(step: Step) -> None:
        for kind, terms in (("loss", step.terms), ("held out", step.validation)):
            for name, value in terms.items():
                writer.add_scalar(f"{kind}/{name}", value, step.number)
        if step.terms:
            writer.add_scalar("rate", step.rate, step.number)

    try:
        yield write
    finally:
        writer.close()
