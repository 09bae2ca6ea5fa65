"""The segmentation stage: preprocess, network, class scores a pixel at the network's own scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pipeline.config import SegmenterConfig
from pipeline.errors import ConfigError
from pipeline.messages import Batch, Float32, SemanticMap
from pipeline.stage import Field
from stages.models.backend import Backend, check_settled
from stages.models.network_stage import NetworkStage, Outputs
from stages.models.onnx_placement import Placed
from stages.models.preprocess import InputSpec, Placement, map_geometry
from stages.segment.labels import BY_COUNT, TWINLITE_CLASSES
from stages.segment.layouts import recognise


class Segment(NetworkStage):
    """Adds `semantic`. Callable from several threads at once."""

    name = "segment"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"semantic"})

    def __init__(
        self,
        backend: Backend,
        *,
        picture: InputSpec,
        logits: Callable[[Sequence[Float32]], Float32],
        class_names: Sequence[str],
        note: str = "",
    ) -> None:
        super().__init__(backend, picture, note=note)
        self._logits = logits
        self.class_names = tuple(class_names)

    def _read(self, batch: Batch, outputs: Iterable[tuple[Outputs, Placement]]) -> Batch:
        return batch.with_(semantic=tuple(self._map(self._logits(found), placement) for found, placement in outputs))

    def _map(self, logits: Float32, placement: Placement) -> SemanticMap:
        return SemanticMap(logits, *map_geometry(logits.shape[1:], self._preprocess.spec, placement))


def build_segmenter(config: SegmenterConfig, *, lanes: int = 1, placed: Placed | None = None) -> Segment:
    """The segmentation stage for an ONNX file.

    Args:
        config: which model, and how it runs.
        lanes: threads that will call the stage at the same time; with several, each has one inference thread.
        placed: where it runs; None is the CPU.

    Raises:
        ModelError: when the model is missing, unreadable, of an unknown layout or fails on a picture.
        ConfigError: when class names do not fit the model.
    """
    path = Path(config.model)
    placed = placed or Placed()
    network = placed.open(path, config.backend, config.picture_size)
    check_settled(network.signature, path, "segmenter")
    layout = recognise(network.signature, path=path, layout=config.layout)
    count = layout.classes(network.signature)
    assert count is not None
    names = class_names(
        count, config.class_names, known=TWINLITE_CLASSES if len(network.signature.outputs) == 2 else None
    )
    picture = layout.picture(network.signature)
    planar = layout.planar(network.signature)
    backend = placed.compile(network, config, normalise=picture.normalise, planar=planar, lanes=lanes)
    note = f"{path.stem} ({count} classes, {picture.width}x{picture.height}): {backend.note}"
    return Segment(backend, picture=picture, logits=layout.logits, class_names=names, note=note)


def class_names(count: int, names: Sequence[str] | None, *, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of a segmenter's `count` classes: as given, as its layout has them, or by count. Raises `ConfigError`."""
    names = names if names is not None else known if known is not None else BY_COUNT.get(count)
    if names is None:
        sizes = " or ".join(f"{size}" for size in BY_COUNT)
        raise ConfigError(f"segmenter.class_names: needed, because the model has {count} classes, not {sizes}")
    if len(names) != count:
        raise ConfigError(f"segmenter.class_names: {len(names)} names given; the model has {count} classes")
    return tuple(names)
