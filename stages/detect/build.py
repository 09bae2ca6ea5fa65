"""From settings to a detection stage."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pipeline.config import EMBEDDED_INT8, EMBEDDED_MODEL, DetectorConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Classes, ModelInfo
from stages.detect.coco import COCO_CLASSES
from stages.detect.detect import Detect
from stages.detect.layouts import recognise
from stages.models.backend import Backend, PictureSize, check_file, check_settled, checksum
from stages.models.network_stage import Outputs
from stages.models.onnx_placement import Placed
from stages.models.preprocess import InputSpec

WEIGHTS = Path(__file__).parent.parent / "models" / "weights"
EMBEDDED_FILES = {EMBEDDED_MODEL: f"{EMBEDDED_MODEL}.onnx", EMBEDDED_INT8: f"{EMBEDDED_INT8}.xml"}


@dataclass(frozen=True, slots=True)
class Card:
    """What stands beside a model of ours: its classes and checksum, and the size of picture it was made for."""

    classes: Classes
    sha256: str
    size: PictureSize | None = None


class _CardFile(msgspec.Struct, frozen=True):
    """A card as it is written."""

    things: tuple[str, ...]
    stuff: tuple[str, ...]
    sha256: str
    files: dict[str, str] = {}
    input_width: int = 0
    input_height: int = 0


def build_detector(config: DetectorConfig, *, lanes: int = 1, placed: Placed | None = None) -> Detect:
    """The detection stage for a model, loaded and tried on a grey picture.

    Args:
        config: which model, and how it runs.
        lanes: threads that will call the stage at the same time; with several, each has one inference thread.
        placed: where it runs; None is the CPU.

    Raises:
        ModelError: when the model is missing, unreadable, damaged, of an unknown layout or fails on a picture.
        ConfigError: when class names do not fit the model.
    """
    path = model_file(config.model)
    placed = placed or Placed()
    check_runtime(config, path, placed)
    check_file(path)
    version = checksum(path)
    card = read_card(path)
    if card is not None and card.sha256 != version:
        raise ModelError(
            f"{path}: SHA-256 is {version}, its card says {card.sha256}; the file is damaged, install it again"
        )
    network = placed.open(path, config.backend, config.picture_size or (card.size if card else None))
    check_settled(network.signature, path, "detector")
    name, layout = recognise(network.signature, path=path, layout=config.layout)
    count = layout.classes(network.signature)
    assert count is not None
    classes = class_names(count, config.class_names, card)
    kept = None if config.classes is None else chosen_labels(config.classes, classes.things)
    picture = layout.picture(network.signature)
    backend = placed.compile(network, config, normalise=picture.normalise, lanes=lanes)
    threshold = layout.score_threshold if config.score_threshold is None else config.score_threshold
    return Detect(
        backend,
        picture=picture,
        decode=layout.decoder(network.signature, try_on_grey(backend, picture, path)),
        classes=classes,
        model=ModelInfo(path.stem, version[:12]),
        score_threshold=threshold,
        masks=layout.masks(network.signature),
        kept_labels=kept,
        note=f"{path.stem} ({name}, {picture.width}x{picture.height}): {backend.note}",
    )


def model_file(model: str) -> Path:
    """Where a model lies. Raises `ModelError` for one of the package's own that this package is without."""
    if model not in EMBEDDED_FILES:
        return Path(model)
    path = WEIGHTS / EMBEDDED_FILES[model]
    if not path.is_file():
        raise ModelError(
            f"detector.model: {model!r} is not in this package; {EMBEDDED_MODEL!r} is, and 'everyframe export "
            f"{EMBEDDED_MODEL} --format int8 --footage VIDEO --output DIR/NAME' makes an INT8 file of it to give here"
        )
    return path


def check_runtime(config: DetectorConfig, path: Path, placed: Placed) -> None:
    """Refuse OpenVINO's own files where ONNX Runtime is to run them. Raises `ConfigError`."""
    if path.suffix == ".xml" and (config.backend == "onnxruntime" or placed.device.is_cuda):
        raise ConfigError(
            f"detector.backend: onnxruntime cannot run {config.model}, which is OpenVINO's; "
            "leave backend at auto and device at cpu, or give an ONNX file"
        )


def try_on_grey(backend: Backend, picture: InputSpec, path: Path) -> Outputs:
    """Outputs for a grey picture, so that a network that cannot run says so now. Raises `ModelError`."""
    grey = np.full((1, picture.height, picture.width, 3), 114, dtype=np.uint8)
    outputs = backend(grey)
    broken = [name for name, array in outputs.items() if not np.isfinite(array).all()]
    if broken:
        raise ModelError(f"{path}: output {broken[0]!r} is not finite for a grey picture; the weights are damaged")
    return list(outputs.values())


def read_card(path: Path) -> Card | None:
    """The card beside a model, None where there is none. Raises `ModelError` where it cannot be read."""
    card = path.with_suffix(".json")
    if not card.is_file():
        return None
    try:
        written = msgspec.json.decode(card.read_bytes(), type=_CardFile)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ModelError(f"{card}: not a model card; 'things', 'stuff' and 'sha256' are needed ({exc})") from exc
    size = (written.input_width, written.input_height)
    return Card(
        Classes(written.things, written.stuff),
        written.files.get(path.name, written.sha256),
        size if min(size) > 0 else None,
    )


def class_names(count: int, names: Sequence[str] | None, card: Card | None) -> Classes:
    """The label space of a model that scores `count` classes. Raises `ConfigError`."""
    if names is not None:
        if len(names) != count:
            raise ConfigError(f"detector.class_names: {len(names)} names given; the model scores {count} classes")
        return Classes(tuple(names), card.classes.stuff if card else ())
    if card is not None and len(card.classes.things) == count:
        return card.classes
    if count != len(COCO_CLASSES):
        raise ConfigError(
            f"detector.class_names: needed, because the model scores {count} classes and COCO has {len(COCO_CLASSES)}"
        )
    return Classes(COCO_CLASSES)


def chosen_labels(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Labels of the classes to keep. Raises `ConfigError` naming close matches of one that is not known."""
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the model knows {', '.join(names)}"
            raise ConfigError(f"detector.classes: {name!r} is not a class of the model; {hint}")
    return [names.index(name) for name in wanted]
