"""An engine without processes: it remembers who takes part."""

from __future__ import annotations

from pipeline.config import SourceConfig, named_sources
from pipeline.errors import UsageError
from pipeline.messages import RunStatistics, SourceStatus


class FakeEngine:
    """Takes up to `most` sources; `told` is what was asked of it, in order."""

    def __init__(self, *sources: str | SourceConfig, most: int = 8) -> None:
        self._sources = {source.source_id: source for source in named_sources(sources)}
        self._paused: set[str] = set()
        self._most = most
        self.told: list[tuple[str, str]] = []
        self.places: dict[str, str] = {}

    @property
    def sources(self) -> list[SourceConfig]:
        return list(self._sources.values())

    def statistics(self) -> RunStatistics:
        states = {name: "PAUSED" if name in self._paused else "STREAMING" for name in self._sources}
        return RunStatistics(
            sources=tuple(SourceStatus(name, state, 1, resulted=5, epochs=1) for name, state in states.items()),
            elapsed_seconds=1.0,
        )

    def devices(self) -> dict[str, str]:
        return self.places

    def add_source(self, source: str | SourceConfig) -> str:
        (named,) = named_sources([source])
        if named.source_id in self._sources or len(self._sources) >= self._most:
            raise UsageError(f"{named.source_id}: no")
        self._sources[named.source_id] = named
        self.told.append(("add", named.source_id))
        return named.source_id

    def remove_source(self, source_id: str) -> None:
        if source_id not in self._sources:
            raise UsageError(f"no source is called {source_id!r}")
        del self._sources[source_id]
        self.told.append(("remove", source_id))

    def pause_source(self, source_id: str) -> None:
        self._paused.add(source_id)
        self.told.append(("pause", source_id))

    def resume_source(self, source_id: str) -> None:
        self._paused.discard(source_id)
        self.told.append(("resume", source_id))
