"""Does what is asked of a running pipeline, and keeps what was added to it for its next start.

The configuration file and what was added while running combine so: what runs is what the file names, and what was
added. Where both name a source, the file's holds. `remove` forgets a source that was added; one of the file is gone
until the next reload or start. Recordings that were added are not kept: to analyse them once was meant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from pipeline.config import (
    PipelineConfig,
    SourceConfig,
    check,
    check_added,
    check_source,
    expand,
    is_recording,
    named_sources,
)
from pipeline.control.added import AddedSources
from pipeline.control.protocol import (
    AddSource,
    Done,
    ListedSource,
    ListSources,
    PauseSource,
    Reload,
    Reloaded,
    RemoveSource,
    Reply,
    Request,
    ResumeSource,
    Sources,
)
from pipeline.control.reload import changes, check_same
from pipeline.errors import ConfigError, EveryframeError, UsageError
from pipeline.messages import RunStatistics


class Engine(Protocol):
    """What is asked of an engine here: `LocalEngine` has it."""

    @property
    def sources(self) -> list[SourceConfig]:
        """Those that take part and stay."""

    def statistics(self) -> RunStatistics:
        """How they are doing."""

    def devices(self) -> dict[str, str]:
        """The device each is on, where there are several."""

    def add_source(self, source: str | SourceConfig) -> str:
        """Let one take part."""

    def remove_source(self, source_id: str) -> None:
        """Have one end."""

    def pause_source(self, source_id: str) -> None:
        """Have one give no frames."""

    def resume_source(self, source_id: str) -> None:
        """Have it go on."""


class Steward:
    """Answers requests, one at a time."""

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        config: PipelineConfig,
        added: AddedSources,
        reread: Callable[[], PipelineConfig] | None = None,
    ) -> None:
        """Serve the pipeline called `name`.

        Args:
            engine: it runs already.
            config: what it was started with, resolved.
            added: where sources are kept that are added.
            reread: reads the configuration again, as it was read at the start; None where there is no file.
        """
        self._engine, self._name, self._config = engine, name, config
        self._store, self._reread = added, reread
        self._added = added.load()
        self._turn = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Do what is asked. Raises an `EveryframeError` that says why not."""
        with self._turn:
            return ANSWERS[type(request)](self, request)

    def add(self, request: AddSource) -> Done:
        """Let a source take part."""
        taken = () if request.source.source_id else [present.source_id for present in self._engine.sources]
        (source,) = named_sources([request.source], taken=taken)
        expand(source.url)  # a variable that is not set is told of now
        source_id = self._engine.add_source(source)
        if not is_recording(source.url):
            try:
                self._keep({**self._added, source_id: source})
            except EveryframeError:
                self._engine.remove_source(source_id)
                raise
        return Done(source_id)

    def remove(self, request: RemoveSource) -> Done:
        """Have a source end, and forget it."""
        try:
            self._engine.remove_source(request.source_id)
        except UsageError:
            if request.source_id not in self._added:
                raise
        self._forget([request.source_id])
        return Done(request.source_id)

    def pause(self, request: PauseSource) -> Done:
        """Have a source give no frames."""
        self._engine.pause_source(request.source_id)
        return Done(request.source_id)

    def resume(self, request: ResumeSource) -> Done:
        """Have it go on."""
        self._engine.resume_source(request.source_id)
        return Done(request.source_id)

    def list_sources(self, _: ListSources) -> Sources:
        """How every source is doing."""
        addresses = {source.source_id: source.shown for source in self._engine.sources}
        devices = self._engine.devices()
        return Sources(
            self._name,
            [
                ListedSource(
                    status,
                    addresses.get(status.source_id, ""),
                    status.source_id in self._added,
                    devices.get(status.source_id, ""),
                )
                for status in self._engine.statistics().sources
            ],
        )

    def reload(self, _: Reload) -> Reloaded:
        """Make the sources those of the configuration file and those that were added, touching only what differs."""
        if self._reread is None:
            raise UsageError(
                f"the pipeline {self._name!r} was started without a configuration file;"
                " 'everyframe source' adds and removes"
            )
        edited = self._reread()
        check_same(self._config, edited)
        named = {source.source_id: source for source in edited.resolved().source_configs}
        wanted = with_added(edited, self._added)
        check(wanted)
        for source in named.values():
            expand(source.url)
        sources = {source.source_id: source for source in wanted.source_configs}
        plan = changes({source.source_id: source for source in self._engine.sources}, sources)
        for source_id in (*plan.added, *plan.changed):
            check_added(sources[source_id])
        self._check_room(len(sources))
        for source_id in (*plan.removed, *plan.changed):
            self._engine.remove_source(source_id)
        for source_id in (*plan.added, *plan.changed):
            self._engine.add_source(sources[source_id])
        self._forget(named)
        return Reloaded(list(plan.added), list(plan.removed), list(plan.changed), len(plan.untouched))

    def _check_room(self, count: int) -> None:
        most = max(self._config.supervisor.max_sources, len(self._config.sources))
        if count > most:
            raise ConfigError(
                f"supervisor.max_sources: {count} sources are more than the {most} this pipeline was started for,"
                " so nothing was changed; restart it with a higher limit"
            )

    def _forget(self, source_ids: Iterable[str]) -> None:
        gone = set(source_ids)
        if gone & self._added.keys():
            self._keep({name: source for name, source in self._added.items() if name not in gone})

    def _keep(self, added: dict[str, SourceConfig]) -> None:
        self._store.save(added.values())
        self._added = added


ANSWERS: Final[dict[type[Request], Callable[[Steward, Any], Reply]]] = {
    AddSource: Steward.add,
    RemoveSource: Steward.remove,
    PauseSource: Steward.pause,
    ResumeSource: Steward.resume,
    ListSources: Steward.list_sources,
    Reload: Steward.reload,
}


def with_added(config: PipelineConfig, added: dict[str, SourceConfig]) -> PipelineConfig:
    """The configuration, resolved, with the sources that were added while running; its own hold where both name one.

    Those that it would not let in now (see `left_out`) are left out.
    """
    resolved = config.resolved()
    own = resolved.source_configs
    names = {source.source_id for source in own} | left_out(resolved, added).keys()
    more = [source for source in added.values() if source.source_id not in names]
    return msgspec.structs.replace(resolved, sources=[*own, *more])


def left_out(resolved: PipelineConfig, added: dict[str, SourceConfig]) -> dict[str, UsageError]:
    """Of the sources that were added while running, those that a configuration does not let in, and why."""
    own = {source.source_id for source in resolved.source_configs}
    refused = {}
    for name, source in added.items():
        try:
            check_added(source)
            check_source(source, files_root=resolved.files_root)
        except UsageError as exc:
            if name not in own:
                refused[name] = exc
    return refused
