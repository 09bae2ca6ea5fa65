"""All figures as one HTML page that stands alone. Every text from outside is escaped where it enters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from stages.exports.report_document import document
from stages.models.evaluation.figures import (
    BOX_FIGURES,
    CLIP_FIGURES,
    MEAN_PANOPTIC_FIGURES,
    MEAN_PIXEL_FIGURES,
    PANOPTIC_FIGURES,
    PIXEL_FIGURES,
    TITLES,
    VIDEO_FIGURES,
    Figures,
    ModelFigures,
    Row,
)
from stages.models.evaluation.table import percent, temperature_text, threads_text

MODEL = "Model"  # the head of tables in which every model has its row


def page(figures: Figures, pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    """The page.

    Args:
        figures: what was measured.
        pictures: model -> caption -> PNG.
    """
    rows = [(model.model, model.means) for model in figures.models]
    parts = [
        _header(figures),
        _section("Boxes", _table(MODEL, [*BOX_FIGURES, "ece"], rows), _box_note(figures)),
        _section("Pixels", _table(MODEL, MEAN_PIXEL_FIGURES, rows), _pixel_note(figures)),
        _section("Panoptic quality", _table(MODEL, MEAN_PANOPTIC_FIGURES, rows), ""),
        _clips(figures),
        _section("Speed and size", _speed(figures), "One picture at a time: network, suppression, merge."),
        *(_model(model, pictures.get(model.model, {})) for model in figures.models),
    ]
    return document("Evaluation", "\n".join(part for part in parts if part))


def _header(figures: Figures) -> str:
    rows = {
        "Pictures": str(figures.pictures or ""),
        "Measured on": "; ".join(figures.data),
        "Clips": "; ".join(figures.clips),
        "Models": ", ".join(model.model for model in figures.models),
        "Things compared": ", ".join(figures.compared_things),
        "Stuff compared": ", ".join(figures.compared_stuff),
        "Ignored": "; ".join(figures.ignored),
    }
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items() if value)
    return f"<header>\n<p>Evaluation</p>\n<h1>{escape(_headline(figures))}</h1>\n<dl>{told}</dl>\n</header>"


def _headline(figures: Figures) -> str:
    return " and ".join(model.model for model in figures.models)


def _section(title: str, body: str, note: str) -> str:
    if not body:
        return ""
    told = f'\n<p class="note">{escape(note)}</p>' if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}{told}\n</section>"


def _table(head: str, keys: Sequence[str], rows: Sequence[tuple[str, Row]]) -> str:
    """A row each, in percent; without columns that nobody has; nothing where there is none."""
    shown = [key for key in keys if any(row.get(key) is not None for _, row in rows)]
    if not shown:
        return ""
    if head != MODEL:
        rows = [(name, row) for name, row in rows if any(row.get(key) is not None for key in shown)]
    heads = "".join(f"<th scope=col>{escape(TITLES[key])}</th>" for key in shown)
    lines = "".join(f"<tr><th scope=row>{escape(name)}</th>{_cells(row, shown)}</tr>" for name, row in rows)
    return (
        f"<div class=wide><table><thead><tr><th scope=col>{escape(head)}</th>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cells(row: Row, keys: Sequence[str]) -> str:
    return "".join(f"<td>{percent(row.get(key)) or '&ndash;'}</td>" for key in keys)


def _box_note(figures: Figures) -> str:
    return (
        "Percent; means over the things compared. ECE: how far scores are from being probabilities, of boxes from "
        f"{figures.settings['counted_from']:g}."
    )


def _pixel_note(figures: Figures) -> str:
    share = figures.settings["boundary_tolerance"]
    return f"Percent; means over the classes compared. Outlines may be off by {100 * share:g} % of the diagonal."


def _clips(figures: Figures) -> str:
    rows = [(model.model, model.clips or {}) for model in figures.models]
    tables = (_table(MODEL, figures_of, rows) for figures_of in (CLIP_FIGURES, VIDEO_FIGURES))
    return _section("Clips", "\n".join(table for table in tables if table), "Percent, over all that is compared.")


def _speed(figures: Figures) -> str:
    rows = []
    for model in figures.models:
        one = model.latency
        cells = (
            "–" if one is None else f"{one.median_ms:.1f}",
            "–" if one is None else f"{one.p95_ms:.1f}",
            "–" if one is None else threads_text(one.threads),
            "–" if model.picture_size is None else "{}x{}".format(*model.picture_size),
            "–" if model.parameters is None else f"{model.parameters / 1e6:.2f}",
            "–" if model.file_bytes is None else f"{model.file_bytes / 1e6:.2f}",
        )
        told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        note = "" if one is None else one.note
        rows.append(f"<tr><th scope=row>{escape(model.model)}</th>{told}<td class=word>{escape(note)}</td></tr>")
    heads = ("Median, ms", "95 %, ms", "On", "Picture", "M parameters", "MB")
    return (
        f"<div class=wide><table><thead><tr><th scope=col>Model</th>"
        f"{''.join(f'<th scope=col>{head}</th>' for head in heads)}<th scope=col class=word>Runs as</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _model(model: ModelFigures, pictures: Mapping[str, bytes]) -> str:
    """A model's classes and pictures."""
    rows = list(model.by_class.items())
    tables = (
        _table("Boxes of", BOX_FIGURES, rows),
        _table("Pixels of", (*PIXEL_FIGURES, *PANOPTIC_FIGURES), rows),
        _table("On clips", (*CLIP_FIGURES, *VIDEO_FIGURES), list(model.clips_by_class.items())),
    )
    shown = "".join(
        f'<figure><img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
        for caption, png in pictures.items()
    )
    note = "" if model.temperature is None else temperature_text(model.temperature)
    told = "\n".join(table for table in tables if table)
    drawn = f'<div class="plots">\n{shown}</div>' if shown else ""
    return _section(model.model, "\n".join(part for part in (told, drawn) if part), note)
