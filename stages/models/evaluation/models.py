"""Which files the models asked for are, and the classes that the truth is told in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ConfigError
from pipeline.messages import Classes
from stages.detect.build import model_file
from stages.models.backend import PictureSize, open_network
from stages.models.extras import need
from stages.models.labelled.embedded import GATHERS
from stages.models.labelled.taxonomy import MOST_STUFF, Taxonomy

CHECKPOINT: Final = ".safetensors"
CHECKPOINT_SIZE: Final = (640, 352)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that can be loaded."""

    name: str
    path: Path  # an ONNX file
    taxonomy: Taxonomy | None  # of a checkpoint, with the names that its classes gather
    picture_size: PictureSize | None = None  # what it is given, where its file leaves that open; None: as its card says


def model_files(models: Sequence[str], folder: Path, *, size: PictureSize | None) -> list[ModelFile]:
    """Each model as an ONNX file; checkpoints of a training are written as such into `folder`.

    Args:
        models: `everyframe-nano`, ONNX files, or checkpoints (.safetensors).
        folder: for what is written, and read as long as the models are used.
        size: width and height of the picture that networks are given which take any; None: as a model's card says, of
            a checkpoint 640x352.

    Raises:
        ConfigError: where one is named twice.
        ModelError: when a checkpoint cannot be read or written as ONNX, a file cannot be read.
    """
    if len(set(models)) < len(models):
        raise ConfigError(f"--model: {next(m for m in models if models.count(m) > 1)} is named twice")
    stems = [Path(model).stem for model in models]
    files = []
    for number, (model, stem) in enumerate(zip(models, stems, strict=True)):
        name = model if model == EMBEDDED_MODEL or stems.count(stem) > 1 else stem
        if Path(model).suffix == CHECKPOINT:
            width, height = size or CHECKPOINT_SIZE
            files.append(_as_onnx(Path(model), folder / str(number), name, width=width, height=height))
        else:
            path = file_of(model)
            is_open = size is not None and open_network(path).signature.is_open
            files.append(ModelFile(name, path, None, size if is_open else None))
    return files


def file_of(model: str) -> Path:
    """Where a model lies. Raises `ModelError` for one of the package's own that this package is without."""
    return model_file(model)


def _as_onnx(checkpoint: Path, folder: Path, name: str, *, width: int, height: int) -> ModelFile:
    need(str(checkpoint), "onnx", "onnxscript", extra="train")
    from stages.models.exporting.card import card_of, write_card
    from stages.models.exporting.deployed import Deployed, check_size
    from stages.models.exporting.folding import folded
    from stages.models.exporting.onnx_graph import onnx_model
    from stages.models.training.checkpoint import read_checkpoint

    check_size(width, height)
    read = read_checkpoint(checkpoint)
    folder.mkdir()
    path = folder / f"{checkpoint.stem}.onnx"
    deployed = Deployed(folded(read.network)).eval()
    path.write_bytes(onnx_model(deployed, width=width, height=height).SerializeToString())
    card = card_of(
        read.network,
        read.taxonomy.classes,
        name=checkpoint.stem,
        version="0",
        training=read.training,
        width=width,
        height=height,
        offsets=[0.0] * len(read.taxonomy.things),
    )
    write_card(path.with_suffix(".json"), card, [path])
    return ModelFile(name, path, read.taxonomy)


def taxonomy_of(models: Sequence[Classes], known: Sequence[Taxonomy | None] = ()) -> Taxonomy:
    """The classes of the first model that gives masks, else of the first, with other sets' names for each.

    Args:
        models: each model's classes.
        known: each model's own taxonomy, where it has one.
    """
    chosen = next((i for i, classes in enumerate(models) if classes.stuff), 0)
    own = known[chosen] if chosen < len(known) else None
    if own is not None:
        return own
    classes = Classes(models[chosen].things, models[chosen].stuff[:MOST_STUFF])
    gathers = {
        name: tuple(other for other in GATHERS.get(name, ()) if other not in classes.names) for name in classes.names
    }
    return Taxonomy(classes=classes, gathers=gathers)
