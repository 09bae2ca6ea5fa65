"""The contract of a stage: pure computation on batches, with no socket, no thread and no clock of its own."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pipeline.messages import Batch

Field = Literal["frames", "detections", "prototypes", "semantic", "panoptic", "tracks"]


@runtime_checkable
class Stage(Protocol):
    """`Batch -> Batch`. `needs` and `adds` name fields of `Batch`, so that an impossible graph is refused at once."""

    @property
    def name(self) -> str:
        """The word for this stage in timings and errors."""

    @property
    def needs(self) -> frozenset[Field]:
        """The fields of a batch that must be filled before this stage."""

    @property
    def adds(self) -> frozenset[Field]:
        """The fields of a batch that are filled after this stage."""

    def __call__(self, batch: Batch) -> Batch:
        """The batch with this stage's work added; the batch given is not changed."""


@runtime_checkable
class Closable(Protocol):
    """A stage that holds something; closed once, by whoever runs the graph."""

    def close(self) -> None:
        """Release what is held. Calling it twice does no harm."""
