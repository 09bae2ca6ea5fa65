"""What stages around one network share: its pictures, one at a time or in batches that it can be left alone with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from pipeline.messages import Batch, Float32, Frame, on_host
from stages.models.backend import Backend, BatchBackend, Begun, SurfaceBackend
from stages.models.preprocess import InputSpec, Placement, Preprocessor

Outputs = Sequence[Float32]  # of one picture, each [1, ...]


class NetworkStage(ABC):
    """A stage with a network. Callable from several threads at once."""

    def __init__(self, backend: Backend, picture: InputSpec, *, note: str) -> None:
        """`note`: what runs, for people; the backend's own where it is empty."""
        self._backend = backend
        self._preprocess = Preprocessor(picture)
        self.note = note or backend.note

    @abstractmethod
    def _read(self, batch: Batch, outputs: Iterable[tuple[Outputs, Placement]]) -> Batch:
        """The batch with what the outputs for each of its frames mean; each holds until the next is asked for."""

    def __call__(self, batch: Batch) -> Batch:
        """The batch with what the network found. Raises `ModelError`."""
        if isinstance(self._backend, BatchBackend):
            return self.begin(batch)(batch)
        return self._read(batch, map(self._one_by_one, batch.frames))

    def begin(self, batch: Batch) -> Callable[[Batch], Batch]:
        """Give the network a batch; what is returned waits for it, and adds what was found to the batch it is given.

        Raises:
            ModelError: here, or when what is returned is called.
        """
        assert isinstance(self._backend, BatchBackend)
        surfaces = [frame.surface for frame in batch.frames]
        begun: Begun
        if isinstance(self._backend, SurfaceBackend):
            begun = looked = self._backend.look(surfaces, self._preprocess.spec)
            placements: Sequence[Placement] = looked.placements
        else:
            pictures, placements = self._preprocess.stack([on_host(surface) for surface in surfaces])
            begun = self._backend.start(pictures)

        def finish(given: Batch) -> Batch:
            outputs = list(begun.result().values())
            return self._read(given, ((part_of(outputs, i), placed) for i, placed in enumerate(placements)))

        return finish

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make the network ready for every size of batch. Raises `ModelError`."""
        if isinstance(self._backend, BatchBackend):
            self._backend.warm_up(tell)

    def complaints(self) -> list[str]:
        """What the network went on after."""
        return self._backend.complaints() if isinstance(self._backend, BatchBackend) else []

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        self._backend.close()

    def _one_by_one(self, frame: Frame) -> tuple[Outputs, Placement]:
        picture, placement = self._preprocess(on_host(frame.surface))
        return list(self._backend.view(picture).values()), placement


def part_of(outputs: Outputs, row: int) -> list[Float32]:
    """One picture's outputs, each [1, ...], of a batch's."""
    return [output[row : row + 1] for output in outputs]
