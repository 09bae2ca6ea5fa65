"""The labelled pictures that a recipe, or a file with `data` alone, names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from stages.models.labelled.class_settings import ClassSettings, KnownClasses, named_taxonomy
from stages.models.labelled.specs import DataSpec, FootageSpec
from stages.models.labelled.taxonomy import Taxonomy


class _DataFile(msgspec.Struct, frozen=True):
    """What is read of a recipe; the rest of it is for training."""

    data: Annotated[list[DataSpec], Meta(min_length=1)]
    classes: KnownClasses | ClassSettings | None = None


def read_data_file(
    path: Path, *, hold_out: float | None = None, limit: int | None = None
) -> tuple[list[DataSpec], Taxonomy | None]:
    """The entries with truth, and the classes that are named; None where none are.

    Args:
        path: a YAML file.
        hold_out: in place of the entries' own.
        limit: likewise.

    Raises:
        ConfigError: naming the file and the setting.
    """
    document = read_yaml(path, what="recipe")
    if not isinstance(document, dict) or "data" not in document:
        raise ConfigError(f"{path}: no recipe; a list of labelled pictures is needed under `data`")
    try:
        read = msgspec.convert(document, _DataFile)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    specs = [_changed(spec, hold_out, limit) for spec in read.data if not isinstance(spec, FootageSpec)]
    if not specs:
        raise ConfigError(f"{path}: data: there is only footage, which has no truth to measure on")
    return specs, None if read.classes is None else named_taxonomy(read.classes)


def _changed(spec: DataSpec, hold_out: float | None, limit: int | None) -> DataSpec:
    changes = {"hold_out": hold_out, "limit": limit}
    return msgspec.structs.replace(spec, **{name: value for name, value in changes.items() if value is not None})
