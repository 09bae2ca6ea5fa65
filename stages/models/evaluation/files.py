"""What an evaluation leaves in its folder: figures.json, pictures, and a page with all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import SinkError
from pipeline.messages import UInt8
from stages.models.evaluation.figures import Figures, ModelFigures
from stages.models.evaluation.page import page
from stages.models.evaluation.plots import confusion_matrix, precision_recall, reliability_diagram

JSON, PAGE = "figures.json", "report.html"
NOTHING = "nothing"


def write_files(figures: Figures, folder: Path) -> list[Path]:
    """Write all into a folder, made if need be; the files. Raises `SinkError`."""
    written: list[Path] = []
    pictures: dict[str, dict[str, bytes]] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for model in figures.models:
            drawn = pictures.setdefault(model.model, {})
            for kind, caption, rgb in pictures_of(model, figures):
                drawn[caption] = png_of(rgb)
                written.append(folder / f"{plain_name(model.model)}-{kind}.png")
                written[-1].write_bytes(drawn[caption])
        for name, text in (
            (JSON, json.dumps(figures.plain(), indent=2) + "\n"),
            (PAGE, page(figures, pictures)),
        ):
            written.append(folder / name)
            written[-1].write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SinkError(f"{folder}: cannot be written: {exc.strerror}; name another place with --output") from exc
    return written


def pictures_of(model: ModelFigures, figures: Figures) -> Iterator[tuple[str, str, UInt8]]:
    """Kind, caption and picture RGB [H, W, 3] of all that can be drawn."""
    if model.curves:
        average = {name: row.get("ap50") for name, row in model.by_class.items()}
        title = f"{model.model}: precision and recall at IoU 0.5"
        yield (
            "precision-recall",
            "Precision over recall at IoU 0.5, with AP50",
            precision_recall(model.curves, average, title),
        )
    if not figures.pictures:
        return
    if model.reliability is not None:
        yield (
            "reliability",
            "How often a box is right, by its score",
            reliability_diagram(model.reliability, f"{model.model}: scores as probabilities"),
        )
    score = figures.settings["counted_score"]
    rows, columns, counts = shown_classes(model.confusion, [*figures.things, NOTHING], [*figures.things, NOTHING])
    caption = f"Boxes from score {score:g}, matched at IoU 0.5"
    yield "confusion-boxes", caption, confusion_matrix(counts, rows, columns, f"{model.model}: boxes")
    if model.pixels is not None:
        names = [*figures.things, *figures.stuff]
        rows, columns, counts = shown_classes(model.pixels, names, [*names, NOTHING])
        if rows:  # none where the truth is boxes alone
            yield "confusion-pixels", "Pixels", confusion_matrix(counts, rows, columns, f"{model.model}: pixels")


def shown_classes(
    counts: list[list[int]], rows: list[str], columns: list[str]
) -> tuple[list[str], list[str], list[list[int]]]:
    """A matrix without the classes that neither the truth nor the model has."""
    table = np.asarray(counts, np.int64)
    seen = {name for name, total in zip(rows, table.sum(1), strict=True) if total}
    seen |= {name for name, total in zip(columns, table.sum(0), strict=True) if total} | {NOTHING}
    kept_rows = [i for i, name in enumerate(rows) if name in seen]
    kept_columns = [j for j, name in enumerate(columns) if name in seen]
    part = table[kept_rows][:, kept_columns].tolist()
    return [rows[i] for i in kept_rows], [columns[j] for j in kept_columns], part


def png_of(rgb: UInt8) -> bytes:
    """RGB [H, W, 3] as PNG."""
    done, data = cv2.imencode(".png", rgb[..., ::-1])
    assert done
    return data.tobytes()


def plain_name(name: str) -> str:
    """A name that can be a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
