"""Settings for a run: the file's, with what the command line says in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.config import PipelineConfig, is_live, load, local_path, parse
from pipeline.errors import ConfigError

NOWHERE = "none"


def settings(sources: Sequence[str], config_file: str | None, given: Mapping[str, Any]) -> PipelineConfig:
    """The configuration, every short form written out.

    `given` has the configuration's own names; None stands for what was not said. Its ``sources`` are settings for
    every source. Raises `ConfigError`, `AddressError`.
    """
    base = load(config_file) if config_file is not None else PipelineConfig()
    if sources:
        base = msgspec.structs.replace(base, sources=list(sources))
    values = msgspec.to_builtins(base.resolved())
    said = _said(given)
    for source in values["sources"]:
        source.update(said.get("sources", {}))
    return parse(_merged(values, {k: v for k, v in said.items() if k != "sources"}), origin="command line")


def check_outputs(config: PipelineConfig) -> None:
    """Refuse to write the annotated video over footage it is drawn from. Raises `ConfigError`."""
    if config.output.annotate is None:
        return
    video = Path(config.output.annotate)
    for source in config.source_configs:
        if is_live(source.url) or not local_path(source.url).exists():
            continue
        for target in (video, video.with_stem(f"{video.stem}-{source.source_id}")):
            if target.exists() and target.samefile(local_path(source.url)):
                raise ConfigError(f"output.annotate: {target} is the source {source.source_id!r}; name another file")


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was said at all; an address of ``none`` is null."""
    said: dict[str, Any] = {}
    for name, value in given.items():
        kept = _said(value) if isinstance(value, Mapping) else value
        if kept is not None and kept != {}:
            said[name] = None if (name, kept) == ("bind", NOWHERE) else kept
    return said


def _merged(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `said` in their place, settings within settings one by one."""
    merged = dict(values)
    for name, value in said.items():
        within = merged.get(name)
        merged[name] = _merged(within or {}, value) if isinstance(value, Mapping) else value
    return merged
