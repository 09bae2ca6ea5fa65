"""Networks that work on the same batch at the same time: each is given it before any is waited for.

On a GPU each network has a stream of its own, so that detection and segmentation overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.messages import Batch
from pipeline.stage import Closable, Complaining, Field, Stage, Warmable


class Beginning(Stage, Protocol):
    """A stage whose network can be left alone with a batch."""

    def begin(self, batch: Batch) -> Callable[[Batch], Batch]:
        """Start; what is returned waits, and adds this stage's work to the batch it is given."""


class Together:
    """Stages that need nothing of each other, as one."""

    stateful = False

    def __init__(self, stages: Sequence[Beginning]) -> None:
        """Raises `ValueError` where one needs what another adds."""
        self._stages = tuple(stages)
        self.name = "+".join(stage.name for stage in stages)
        self.needs: frozenset[Field] = frozenset[Field]().union(*(stage.needs for stage in stages))
        self.adds: frozenset[Field] = frozenset[Field]().union(*(stage.adds for stage in stages))
        if self.needs & self.adds:
            raise ValueError(f"stages {self.name} cannot run together: one needs {', '.join(self.needs & self.adds)}")

    def __call__(self, batch: Batch) -> Batch:
        """The batch with what all of them add. Every one that was begun is waited for, also after an error."""
        finishers: list[Callable[[Batch], Batch]] = []
        errors: list[Exception] = []
        result = batch
        try:
            finishers += (stage.begin(batch) for stage in self._stages)
        except Exception as exc:  # noqa: BLE001 - raised below, when those begun before it are done
            errors.append(exc)
        for finish in finishers:
            try:
                result = finish(result)
            except Exception as exc:  # noqa: BLE001 - raised below, when the others are done
                errors.append(exc)
        if errors:
            raise errors[0]
        return result

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make every network ready."""
        for stage in self._stages:
            if isinstance(stage, Warmable):
                stage.warm_up(tell)

    def complaints(self) -> list[str]:
        """What any of them went on after."""
        return [text for stage in self._stages if isinstance(stage, Complaining) for text in stage.complaints()]

    def close(self) -> None:
        """Release all."""
        for stage in self._stages:
            if isinstance(stage, Closable):
                stage.close()
