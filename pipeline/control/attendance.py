"""Around a run: its name is taken, sources added before come back, and requests are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.config import PipelineConfig
from pipeline.control.added import AddedSources
from pipeline.control.names import derived_name
from pipeline.control.server import ControlServer
from pipeline.control.steward import Engine, Steward, left_out, with_added
from pipeline.errors import UsageError

MOST_OF_A_NAME = 100  # pipelines whose names were derived alike


@dataclass(frozen=True, slots=True)
class Attendance:
    """A run that can be spoken to."""

    config: PipelineConfig  # with the sources that were added while it ran before
    restored: tuple[str, ...]  # their names
    left_out: Mapping[str, UsageError]  # of those, the ones that the configuration does not let in any more, and why
    name: str
    serve: Callable[[Engine], None]  # answer requests from now on


@contextmanager
def attended(
    config: PipelineConfig, *, config_file: str | None, reread: Callable[[], PipelineConfig] | None
) -> Iterator[Attendance]:
    """Take the name of a checked configuration for as long as this lasts.

    `reread` reads the configuration once more. Raises `UsageError` where a pipeline of that name runs, `ConfigError`
    where the sources added before cannot be read.
    """
    with _server(config, config_file) as server:
        store = AddedSources(server.name, config.supervisor.state_directory)
        added = store.load()
        own = {source.source_id for source in config.source_configs}
        refused = left_out(config, added)

        def serve(engine: Engine) -> None:
            steward = Steward(engine, name=server.name, config=config, added=store, reread=reread)
            server.serve(steward.answer)

        yield Attendance(
            config=with_added(config, added),
            restored=tuple(name for name in added if name not in own and name not in refused),
            left_out=refused,
            name=server.name,
            serve=serve,
        )


def _server(config: PipelineConfig, config_file: str | None) -> ControlServer:
    """Under the name that was given; of a derived name, the first that no other pipeline has."""
    if config.supervisor.name is not None:
        return ControlServer(config.supervisor.name)
    name = derived_name(config_file, config.source_configs[0].source_id)
    for number in range(2, MOST_OF_A_NAME):
        try:
            return ControlServer(name if number == 2 else f"{name}-{number - 1}")
        except UsageError:
            continue
    return ControlServer(name)
