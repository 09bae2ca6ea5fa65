"""Packed samples in one file of plain arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.labelled.sample import PackedSample
from stages.models.whole_file import whole_file


class KeyedSample(NamedTuple):
    """A packed sample and its picture's name."""

    key: str
    sample: PackedSample


def save(samples: Sequence[KeyedSample], path: Path) -> None:
    """One `.npz`, no pickle, whole or not at all. Raises `OSError`."""
    packed = [one.sample for one in samples]
    known = [np.zeros(0, np.bool_) if one.known is None else one.known for one in packed]
    arrays: dict[str, NDArray[Any]] = {
        "keys": np.array([one.key for one in samples], np.str_),
        "object_counts": np.array([len(one.labels) for one in packed], np.int64),
        "image_bytes": np.array([one.image.size for one in packed], np.int64),
        "region_bytes": np.array([one.regions.size for one in packed], np.int64),
        "known_counts": np.array([one.size for one in known], np.int64),
        "images": _joined([one.image.ravel() for one in packed], np.uint8),
        "regions": _joined([one.regions.ravel() for one in packed], np.uint8),
        "boxes": _joined([one.boxes for one in packed], np.float32).reshape(-1, 4),
        "labels": _joined([one.labels for one in packed], np.int64),
        "visibility": _joined([one.visibility for one in packed], np.float32),
        "known": _joined(known, np.bool_),
    }
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> list[KeyedSample]:
    """The inverse of `save`. Raises `DataError` for a file that is not one of its."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            parts = {name: archive[name] for name in archive.files}
        columns = [
            np.split(parts[values], np.cumsum(parts[counts])[:-1])
            for values, counts in (
                ("images", "image_bytes"),
                ("regions", "region_bytes"),
                ("boxes", "object_counts"),
                ("labels", "object_counts"),
                ("visibility", "object_counts"),
                ("known", "known_counts"),
            )
        ]
        keys = parts["keys"].tolist()
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as exc:
        raise DataError(
            f"{path}: cannot be read: no file of packed pictures ({exc}); delete it, and it is made again"
        ) from exc
    return [
        KeyedSample(key, PackedSample(image, regions, boxes, labels, visibility, known if known.size else None))
        for key, image, regions, boxes, labels, visibility, known in zip(keys, *columns, strict=bool(keys))
    ]


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)
