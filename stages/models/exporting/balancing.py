"""One threshold for all classes: what is added to each class's logits, learnt on held-out pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.models.evaluation.calibrate import calibrate_on, completed
from stages.models.evaluation.measure import DataSet
from stages.models.exporting.card import card_of, write_card
from stages.models.exporting.deployed import Deployed
from stages.models.exporting.export import ExportPlan, Trained
from stages.models.exporting.folding import folded
from stages.models.exporting.onnx_graph import onnx_model
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.sample import Sample
from stages.models.labelled.taxonomy import Taxonomy


class _Joined:
    """Several sets as one; a `Pictures`."""

    def __init__(self, sets: Sequence[Pictures]) -> None:
        self._places = [(pictures, row) for pictures in sets for row in range(len(pictures))]
        self.name = " and ".join(pictures.name for pictures in sets)

    def __len__(self) -> int:
        return len(self._places)

    def key(self, index: int) -> str:
        """The picture's name."""
        pictures, row = self._places[index]
        return pictures.key(row)

    def __getitem__(self, index: int) -> Sample:
        pictures, row = self._places[index]
        return pictures[row]


def balanced(trained: Trained, plan: ExportPlan, sets: Sequence[DataSet], taxonomy: Taxonomy) -> list[float]:
    """Offsets of each thing's logits by which its best threshold becomes the one that a run has for all.

    Args:
        trained: the network; the offsets it has are not used.
        plan: of its files, for the size of a picture.
        sets: pictures that it was not trained on.
        taxonomy: its classes.

    Raises:
        DataError, ModelError: as `calibrate_on`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.onnx"
        light = Deployed(folded(trained.network)).eval()
        path.write_bytes(onnx_model(light, width=plan.width, height=plan.height, half=False).SerializeToString())
        card = card_of(
            trained.network,
            trained.classes,
            name="raw",
            version=plan.version,
            training="",
            width=plan.width,
            height=plan.height,
            offsets=[0.0] * len(trained.classes.things),
        )
        write_card(path.with_suffix(".json"), card, [path])
        drawn = all(one.ignoring == "world" for one in sets)
        pictures = _Joined([one.pictures for one in sets])
        return completed(calibrate_on(path, pictures, taxonomy, ignoring="world" if drawn else "coco"))
