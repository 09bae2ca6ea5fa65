"""Names of YOLO's class numbers: given, or in a file beside the labels."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from stages.models.labelled.label_files import read_text

COCO = "coco"
MOST_NAMES = 10_000


def class_names(names: list[str] | str) -> list[str]:
    """Names in order of class number.

    Args:
        names: themselves; `coco`; a YAML file with `names`, a list or a mapping from number; or a file of a name a
            line.

    Raises:
        ConfigError: for a file that is none of these.
        DataError: for a file that cannot be read.
    """
    if isinstance(names, list):
        return _checked(names, "data.names")
    if names == COCO:
        from stages.detect.coco import COCO_CLASSES

        return list(COCO_CLASSES)
    path = Path(names)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _checked(_in_order(read_yaml(path, what="YOLO data file"), path), str(path))
    lines = [line.strip() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return _checked(lines, str(path))


def _in_order(values: object, path: Path) -> list[str]:
    names = values.get("names") if isinstance(values, dict) else None
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise ConfigError(f"{path}: names: numbered {list(names)[:20]}; 0, 1, 2, ... without a gap are needed")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: names: missing, or no list or mapping of class names")
    return names


def _checked(names: list[str], where: str) -> list[str]:
    if not 1 <= len(names) <= MOST_NAMES or not all(names):
        raise ConfigError(f"{where}: {len(names)} class names, or an empty one; 1 to {MOST_NAMES} are needed")
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ConfigError(f"{where}: the class {twice!r} is there twice")
    return names
