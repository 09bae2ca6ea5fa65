"""Figures on the card beside a model."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.errors import ModelError, SinkError
from stages.models.evaluation.figures import Figures
from stages.models.whole_file import write_whole


def put_on_card(model: Path, figures: Figures) -> Path:
    """Put what was measured with the only model of `figures` on the card beside its file; the card.

    Raises:
        ModelError: where there is no card.
        SinkError: where it cannot be written.
    """
    path = model.with_suffix(".json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path}: no card to put figures on; `everyframe export` writes one") from exc
    (one,) = figures.models
    card["figures"] = {
        "data": figures.data,
        "pictures": figures.pictures,
        "ignored": figures.ignored,
        "means": one.means,
        "by_class": one.by_class,
    }
    if one.clips is not None:
        card["figures"] |= {"clips": figures.clips, "on_clips": one.clips}
    try:
        write_whole(path, f"{json.dumps(card, indent=2)}\n".encode())
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written: {exc.strerror}") from exc
    return path
