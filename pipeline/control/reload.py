"""What an edited configuration means for a pipeline that runs: which sources come, go and change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.config import PipelineConfig, SourceConfig
from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of sources, each in one of these only; those of `changed` go and come again with other settings."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    untouched: tuple[str, ...]


def changes(present: Mapping[str, SourceConfig], wanted: Mapping[str, SourceConfig]) -> Changes:
    """What leads from the sources that are there to those that shall be."""
    both = [name for name in wanted if name in present]
    return Changes(
        added=tuple(name for name in wanted if name not in present),
        removed=tuple(name for name in present if name not in wanted),
        changed=tuple(name for name in both if wanted[name] != present[name]),
        untouched=tuple(name for name in both if wanted[name] == present[name]),
    )


def check_same(running: PipelineConfig, edited: PipelineConfig) -> None:
    """Refuse an edited configuration in which more than the sources is another. Raises `ConfigError` naming it all."""
    others = differences(_settings(running), _settings(edited))
    if others:
        raise ConfigError(
            f"{', '.join(others)}: cannot change while the pipeline runs, so nothing was changed; restart it, or set"
            f" {'these' if len(others) > 1 else 'this'} back"
        )


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Paths of the settings that are not the same."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = dict.fromkeys([*before, *after])
        within = (differences(before.get(n), after.get(n), f"{path}.{n}" if path else n) for n in names)
        return [found for each in within for found in each]
    return [] if before == after else [path]


def _settings(config: PipelineConfig) -> Any:
    values = msgspec.to_builtins(config.resolved())
    del values["sources"]
    return values
