"""What is left in the output folder: the network as a file to run, and plain figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import DataError
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.parts import evenly
from stages.models.labelled.sample import unpack
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.whole_file import whole_file, write_whole

if TYPE_CHECKING:
    from stages.models.nano.network import Nano

CHECKED: Final = 16  # frames that the exported file is held against torch on


def export_to(
    path: Path,
    network: Nano,
    samples: Sequence[KeyedSample],
    taxonomy: Taxonomy,
    *,
    told: str,
    like: Path | None = None,
    shifts: Sequence[float] = (),
) -> None:
    """Write a network as ONNX with its card, checked on frames of the footage.

    Args:
        path: of the ONNX file.
        network: any mode.
        samples: frames of the footage.
        taxonomy: its classes.
        told: how it was trained, for the card.
        like: an exported file whose picture's size, open or not, and scores' offsets it gets; None: the usual ones.
        shifts: added to these offsets, a thing each; none: nothing is.

    Raises:
        ModelError: when it cannot be written, or does not give what torch gives.
    """
    from pipeline.messages import Surface
    from stages.models.backend import open_network
    from stages.models.exporting.card import class_offsets, read_whole_card
    from stages.models.exporting.deployed import INPUT_HEIGHT, INPUT_WIDTH
    from stages.models.exporting.export import ExportPlan, Trained, export
    from stages.models.exporting.frames import Frames, picture_spec
    from stages.models.preprocess import Preprocessor

    card = {} if like is None else read_whole_card(like)
    width, height = int(card.get("input_width", INPUT_WIDTH)), int(card.get("input_height", INPUT_HEIGHT))
    preprocess = Preprocessor(picture_spec(width, height))
    rows = evenly(len(samples), limit=CHECKED).tolist()
    images = [unpack(samples[row].sample).image for row in rows]
    checked = [preprocess(Surface("rgb24", (image,)))[0].copy() for image in images]
    frames = Frames(checked=checked, calibration=[], told=f"{len(checked)} frames of the footage")
    before = [0.0] * len(taxonomy.things) if like is None else class_offsets(like, card, taxonomy.things)
    offsets = [one + shift for one, shift in zip(before, shifts or [0.0] * len(before), strict=True)]
    trained = Trained(network=network, classes=taxonomy.classes, offsets=offsets, training=told)
    any_size = like is not None and open_network(like).signature.is_open
    plan = ExportPlan(folder=path.parent, name=path.stem, width=width, height=height, any_size=any_size)
    export(trained, plan, frames)


def add_figures(model: Path, figures: dict[str, Any]) -> None:
    """Put what was measured on the card. Raises `ModelError` where there is none."""
    from stages.models.exporting.card import read_whole_card

    card = read_whole_card(model)
    write_json(model.with_suffix(".json"), {**card, "figures": figures})


def read_json(path: Path) -> dict[str, Any]:
    """A file of `write_json`. Raises `DataError` where it is none any more."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise DataError(f"{path}: cannot be read ({exc}); delete it, and it is made again") from exc
    if not isinstance(plain, dict):
        raise DataError(f"{path}: holds no table; delete it, and it is made again")
    return plain


def write_json(path: Path, plain: dict[str, Any]) -> None:
    """Write it, whole or not at all. Raises `OSError`."""
    write_whole(path, f"{json.dumps(plain, indent=2)}\n".encode())


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all. Raises `OSError`."""
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)
