"""A configuration as YAML with a comment at every setting."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import yaml

from pipeline.config import PipelineConfig, describe, dump

WIDTH: Final = 110
INDENT: Final = "  "


def annotated(config: PipelineConfig) -> str:
    """All settings of a configuration, secrets in addresses left out. Reading it back gives the same configuration.

    What could be set but is not (the fields of a source where none is named, of a segmenter where there is none)
    stands in comments.
    """
    values = yaml.safe_load(dump(config))
    return "".join(f"{line}\n" for line in _lines(values, _tree()))


Tree = dict[str, tuple[str, str, Any]]  # name: default, description, the same of what it holds


def _tree() -> Tree:
    tree: Tree = {}
    for path, default, description in describe():
        *parents, name = path.split(".")
        level = tree
        for parent in parents:
            level = level[parent][2]
        level[name] = (default, description, {})
    return tree


def _lines(values: dict[str, Any], tree: Tree, indent: str = "") -> Iterator[str]:
    for i, (name, (_, description, nested)) in enumerate(tree.items()):
        value = values[name]
        if i > 0 and not indent:
            yield ""
        yield from _comment(description, indent)
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, nested, indent + INDENT)
        else:
            yield from (f"{indent}{line}" for line in _plain({name: value}))
            yield from _possible(nested, indent, first="- " if isinstance(value, list) else INDENT)


def _possible(nested: Tree, indent: str, *, first: str) -> Iterator[str]:
    """The fields that could stand here, commented out."""
    for i, (name, (default, description, _)) in enumerate(nested.items()):
        setting = f"{name}: {'...' if default == 'required' else default}"
        yield f"{indent}# {first if i == 0 else INDENT}{setting}  # {description}"


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, WIDTH - len(indent))]


def _plain(values: dict[str, Any]) -> list[str]:
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=WIDTH)).splitlines()
