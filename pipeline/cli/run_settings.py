"""Settings for a run: the file's, with what the command line says in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.bind import token_of
from pipeline.config import PipelineConfig, expand, is_folder, load, local_path, parse, scheme_of
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
    """Refuse to write over or among footage that is read, or two outputs into one file. Raises `ConfigError`."""
    written: dict[Path, str] = {}
    for setting, file in _files(config):
        first = written.setdefault(file.absolute(), setting)
        if first != setting:
            raise ConfigError(f"{setting}: {file} is written as {first} too; name another file")
        for source in config.source_configs:
            footage = local_path(expand(source.url)) if scheme_of(source.url) == "file" else None
            if footage is None or not footage.exists():
                continue
            if file.exists() and file.samefile(footage):
                raise ConfigError(f"{setting}: {file} is the source {source.source_id!r}; name another file")
            if is_folder(source.url) and setting == "output.annotate" and file.parent.resolve() == footage.resolve():
                raise ConfigError(
                    f"{setting}: {file} would be taken for a segment of the source {source.source_id!r}; name a file in"
                    " another folder"
                )


def _files(config: PipelineConfig) -> Iterator[tuple[str, Path]]:
    """Every file a run may write, and the setting that names it."""
    output = config.output
    if output.annotate is not None:
        video = Path(output.annotate)
        yield "output.annotate", video
        for source in config.source_configs:
            yield "output.annotate", video.with_stem(f"{video.stem}-{source.source_id}")
    if output.directory is not None:
        for name in ("results.jsonl", "timings.jsonl"):
            yield "output.directory", Path(output.directory, name)
    if output.events is not None:
        yield "output.events", Path(output.events)
    for name, file in output.export.files.items():
        yield f"output.export.{name}", Path(file)


def check_api(config: PipelineConfig) -> None:
    """Refuse to listen with an unusable token, or for an engine that has nothing to tell. Raises `ConfigError`."""
    if config.api.bind is None:
        return
    token_of(config.api.token)
    if config.engine == "inline":
        raise ConfigError("api.bind: the inline engine has no workers to tell of; use --engine local")


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was said at all; an address of ``none`` is null."""
    said: dict[str, Any] = {}
    for name, value in given.items():
        kept = _said(value) if isinstance(value, Mapping) else value
        if kept is not None and kept != {}:
            said[name] = None if kept == NOWHERE and name in ("bind", "url") else kept
    return said


def _merged(values: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `said` in their place, settings within settings one by one."""
    merged = dict(values)
    for name, value in said.items():
        within = merged.get(name)
        merged[name] = _merged(within or {}, value) if isinstance(value, Mapping) else value
    return merged
