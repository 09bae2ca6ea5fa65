"""Figures for a person: models side by side, then each class, in percent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.models.evaluation.figures import (
    CLIP_FIGURES,
    MEAN_PANOPTIC_FIGURES,
    MEAN_PIXEL_FIGURES,
    TITLES,
    VIDEO_FIGURES,
    Figures,
    Latency,
    Row,
    Temperature,
)

GROUPS = (
    ("ap50", "ap", "ap75", "ap_small", "ap_medium", "ap_large"),
    ("ar1", "ar10", "ar100", "voc_ap11", "voc_ap", "ece"),
    MEAN_PIXEL_FIGURES,
    MEAN_PANOPTIC_FIGURES,
    CLIP_FIGURES,
    VIDEO_FIGURES,
)
OF_CLASS_ON_CLIPS = ("hota", "deta", "assa", "mota", "idf1", "vpq")
OF_CLASS = ("ap50", "ap", "pq", "iou", "boundary_f1")
NAME_WIDTH, CELL_WIDTH = 22, 9


def table(figures: Figures) -> str:
    """All models' means, then what each class has."""
    return "\n".join([*_head(figures), *_means(figures), *_classes(figures), *_sizes(figures)])


def _head(figures: Figures) -> Iterator[str]:
    if figures.pictures:
        yield f"{figures.pictures} pictures: {'; '.join(figures.data)}"
    if figures.clips:
        yield f"clips: {'; '.join(figures.clips)}"
    yield f"ignored: {'; '.join(figures.ignored)}"
    yield f"things compared: {', '.join(figures.compared_things) or 'none'}"
    if figures.compared_stuff:
        yield f"stuff compared: {', '.join(figures.compared_stuff)}"


def _means(figures: Figures) -> Iterator[str]:
    rows = [(model.model, model.means | (model.clips or {})) for model in figures.models]
    for group in GROUPS:
        shown = [key for key in group if any(row.get(key) is not None for _, row in rows)]
        if shown:
            yield ""
            yield from _lines("", shown, rows)


def _classes(figures: Figures) -> Iterator[str]:
    for model in figures.models:
        rows = [(name, row) for name, row in model.by_class.items() if any(v is not None for v in row.values())]
        shown = [key for key in OF_CLASS if any(row.get(key) is not None for _, row in rows)]
        if shown:
            yield ""
            yield from _lines(model.model, shown, rows)
        of_clips = [
            (name, row)
            for name, row in model.clips_by_class.items()
            if any(row.get(key) is not None for key in OF_CLASS_ON_CLIPS)
        ]
        on_clips = [key for key in OF_CLASS_ON_CLIPS if any(row.get(key) is not None for _, row in of_clips)]
        if of_clips:
            yield ""
            yield from _lines(f"{model.model}, clips", on_clips, of_clips)


def _lines(head: str, keys: Sequence[str], rows: Sequence[tuple[str, Row]]) -> Iterator[str]:
    yield f"{head:{NAME_WIDTH}}" + "".join(_cell(TITLES[key], key) for key in keys)
    for name, row in rows:
        yield f"{name[:NAME_WIDTH]:{NAME_WIDTH}}" + "".join(_cell(percent(row.get(key)), key) for key in keys)


def _cell(text: str, key: str) -> str:
    return f"{text:>{max(CELL_WIDTH, len(TITLES[key]) + 2)}}"


def percent(value: float | None) -> str:
    """With a decimal; nothing for what is not known."""
    return "" if value is None else f"{100 * value:.1f}"


def _sizes(figures: Figures) -> Iterator[str]:
    for model in figures.models:
        parts = []
        if model.picture_size is not None:
            parts.append("pictures of {}x{}".format(*model.picture_size))
        if model.parameters is not None:
            parts.append(f"{model.parameters / 1e6:.2f} M parameters")
        if model.file_bytes is not None:
            parts.append(f"{model.file_bytes / 1e6:.2f} MB")
        if model.latency is not None:
            parts.append(latency_text(model.latency))
        if model.temperature is not None:
            parts.append(temperature_text(model.temperature))
        if parts:
            yield ""
            yield f"{model.model}: {'; '.join(parts)}"


def threads_text(count: int) -> str:
    """1 thread, 2 threads, all cores."""
    return "all cores" if count == 0 else f"{count} thread{'s' if count > 1 else ''}"


def latency_text(one: Latency) -> str:
    """Median, 95 % and what it ran on."""
    return f"{one.median_ms:.1f} ms a picture (95 %: {one.p95_ms:.1f} ms) on {threads_text(one.threads)}"


def temperature_text(one: Temperature) -> str:
    """The temperature, and what it did on pictures it was not fitted on."""
    return (
        f"temperature {one.value:.3f}, fitted on {one.fitted_boxes} boxes of {one.fitted_on}: "
        f"NLL {one.nll_before:.4f} to {one.nll_after:.4f}"
    )
