"""Working through recordings, one after another, with one network for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.config import (
    DetectorConfig,
    OutputConfig,
    PipelineConfig,
    PublishConfig,
    SegmenterConfig,
    check,
)
from pipeline.engines.inline import InlineEngine
from pipeline.errors import ConfigError, SourceError
from pipeline.footage.listing import REPORT, Recording
from pipeline.footage.shelf import Counts, Done, Origin, Shelf
from pipeline.graph import Graph
from pipeline.messages import FrameResult

State = Literal["done", "kept", "refused", "left"]
SIDE_BY_SIDE = ("threads", "requests")  # decide how fast results come, and not what they are
GLANCE_FRAMES = 16  # between two looks at how far it is


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a recording.

    Attributes:
        state: done now; kept, as an earlier run had done it; refused, for `reason`; left, as the run was ended.
    """

    name: str
    source: str
    state: State
    reason: str = ""
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Step:
    """How far a recording is."""

    frames: int
    expected: int | None  # as its container says; None where it does not


class Screen:
    """What is shown; this one shows nothing."""

    def begin(self, recording: Recording, number: int) -> None:
        """A recording is begun, the so-manieth of all."""

    def step(self, step: Step) -> None:
        """It goes on."""

    def end(self, outcome: Outcome) -> None:
        """It is over, or need not be begun."""


class Work:
    """A run over recordings. The graph is built when the first must be analysed, and serves all."""

    def __init__(
        self,
        config: PipelineConfig,
        recordings: Sequence[Recording],
        shelf: Shelf,
        *,
        open_source: Any,
        build_graph: Callable[[PipelineConfig], Graph],
        build_sinks: Callable[[PipelineConfig], Any],
    ) -> None:
        """`config`: everything but where results go, with a source for all; the callables are an engine's."""
        self._config, self._recordings, self._shelf = config, recordings, shelf
        self._open_source, self._build_graph, self._build_sinks = open_source, build_graph, build_sinks
        self._settings = settings_digest(config)
        self._graph: Graph | None = None
        self._stopping = False

    def plan(self) -> Iterator[tuple[Recording, Done | None]]:
        """Each recording, with its mark where nothing is to be done."""
        for recording in self._recordings:
            origin = self._origin(recording)
            yield recording, None if origin is None else self._shelf.done(recording, origin)

    def run(self, screen: Screen) -> list[Outcome]:
        """Work through all, and write the report. Raises `SinkError`, `ModelError`, `ConfigError`, `DeviceLost`."""
        with self._shelf.held():
            return self._run(screen)

    def _run(self, screen: Screen) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            for number, (recording, mark) in enumerate(self.plan(), 1):
                outcomes.append(self._outcome(recording, mark, number, screen))
                screen.end(outcomes[-1])
        finally:
            if self._graph is not None:
                self._graph.close()
        listed = msgspec.json.format(msgspec.json.encode({"recordings": outcomes}), indent=1) + b"\n"
        self._shelf.write(REPORT, listed)
        return outcomes

    def stop(self) -> None:
        """Leave what is in work and what is to come, soon; a signal's handler may call it, or another thread."""
        self._stopping = True

    def _outcome(self, recording: Recording, mark: Done | None, number: int, screen: Screen) -> Outcome:
        if mark is not None:
            return _outcome(recording, "kept", counts=mark.counts)
        if self._stopping:
            return _outcome(recording, "left")
        screen.begin(recording, number)
        origin = self._origin(recording)
        try:
            if origin is None:
                raise SourceError(f"{recording.path}: there is no such file any more")
            mark = self._analyse(recording, origin, screen)
        except SourceError as exc:
            self._shelf.give_up(recording)
            return _outcome(recording, "refused", reason=str(exc))
        except BaseException:
            self._shelf.give_up(recording)
            raise
        if mark is None:
            self._shelf.give_up(recording)
            return _outcome(recording, "left")
        self._shelf.finish(recording, mark)
        return _outcome(recording, "done", counts=mark.counts)

    def _analyse(self, recording: Recording, origin: Origin, screen: Screen) -> Done | None:
        """Its results into the folder that was begun, and its mark; None where the run is to end before it does."""
        part = self._shelf.begin(recording)
        config = self._config_of(recording, OutputConfig(directory=str(part)))
        graph = self._graph
        if graph is None:
            graph = self._graph = self._build_graph(config)
            graph.warm_up(lambda _: None)
        results = 0
        lent = _Lent(graph)
        try:
            with InlineEngine(
                config, open_source=self._open_source, build_graph=lambda _: lent, build_sinks=self._build_sinks
            ) as engine:
                for item in engine.items():
                    if self._stopping:
                        return None
                    results += isinstance(item, FrameResult)
                    if results % GLANCE_FRAMES == 0:
                        screen.step(Step(results, engine.statistics().sources[0].expected_frames))
                found = engine.statistics().sources[0]
        finally:
            graph.forget(recording.name)
        counts = Counts(frames=found.captured, results=results, undecoded=found.undecoded, damaged=found.damaged)
        return Done(source=str(recording.path), origin=origin, counts=counts)

    def _config_of(self, recording: Recording, output: OutputConfig) -> PipelineConfig:
        source = msgspec.structs.replace(
            self._config.source_configs[0], url=str(recording.path), source_id=recording.name, began=recording.began
        )
        return check(
            msgspec.structs.replace(
                self._config, sources=[source], output=output, publish=PublishConfig(bind=None), engine="inline"
            )
        )

    def _origin(self, recording: Recording) -> Origin | None:
        try:
            seen = recording.path.stat()
        except OSError:
            return None
        return Origin(size=seen.st_size, mtime_ns=seen.st_mtime_ns, settings=self._settings, began=recording.began)


class _Lent(Graph):
    """A graph for one recording, whose stages are those of all and stay."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.stages, classes=graph.classes, model=graph.model, lanes=graph.lanes, notes=graph.notes)

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """They are."""

    def close(self) -> None:
        """They are not this one's."""


def settings_digest(config: PipelineConfig) -> str:
    """Of all that decides what comes out of a file: the program, its networks and what follows them."""
    values = msgspec.to_builtins(config)
    kept = ("detector", "segmenter", "suppress", "tracker", "device", "decode", "sources")
    deciding = {name: values[name] for name in kept if name in values}
    for network in ("detector", "segmenter"):
        if isinstance(deciding.get(network), dict):
            deciding[network] = {name: value for name, value in deciding[network].items() if name not in SIDE_BY_SIDE}
    deciding["sources"] = [
        {name: value for name, value in source.items() if name not in ("url", "source_id", "began")}
        for source in deciding["sources"]
        if isinstance(source, dict)
    ]
    networks = [network for network in (config.detector_config, config.segmenter_config) if network is not None]
    files = [file for network in networks for file in _files_of(network)]
    deciding |= {"program": _program(), "files": [_digest_of(file) for file in files]}
    return hashlib.sha256(msgspec.json.encode(deciding, order="deterministic")).hexdigest()[:32]


def _program() -> str:
    try:
        return version("everyframe")
    except PackageNotFoundError:
        return ""


def _files_of(network: DetectorConfig | SegmenterConfig) -> list[Path]:
    """Those that hold its weights, as far as they are files of this machine that were named."""
    folder = Path(network.model.partition(":")[2])
    within = sorted(folder.glob("*.safetensors")) if network.model.startswith("transformers:") else []
    return [Path(network.model), *within, *([Path(network.weights)] if network.weights else [])]


def _digest_of(path: Path) -> str:
    """Of a network's file; empty for what is none, such as a name."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def check_plan(config: PipelineConfig, recordings: Sequence[Recording], directory: str) -> None:
    """Refuse to write among footage that is read. Raises `ConfigError`."""
    target = Path(directory).resolve()
    for recording in recordings:
        if target in recording.path.resolve().parents:
            raise ConfigError(f"--output: {directory} holds the recording {recording.path}; name another folder")


def _outcome(recording: Recording, state: State, *, reason: str = "", counts: Counts = Counts()) -> Outcome:  # noqa: B008 - frozen
    return Outcome(name=recording.name, source=str(recording.path), state=state, reason=reason, counts=counts)
