"""From configuration to stages, and `Pipeline`, the library's front door. The only file that knows both packages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import (
    EMBEDDED_MODEL,
    DetectorConfig,
    PipelineConfig,
    PublishConfig,
    SourceConfig,
    check,
    load,
    parse,
)
from pipeline.errors import ConfigError
from pipeline.messages import FrameResult, Gap, RunStatistics
from pipeline.stage import Reader, Sink, Stage

if TYPE_CHECKING:
    from pipeline.engines.inline import InlineEngine
    from pipeline.graph import Graph
    from stages.publish.zeromq import ZeroMQPublisher

MOST_LANES = 8  # past this a CPU's memory bandwidth, not its cores, is the limit


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int]) -> Reader:
    """Open a camera or file. Raises `SourceError`."""
    from stages.decode import open_source as opened

    return opened(source, next_epoch=next_epoch)


def build_graph(config: PipelineConfig) -> Graph:
    """The chain from frames to tracks, networks loaded. Raises `ModelError`, `ConfigError`, `GraphError`."""
    from pipeline.graph import Graph
    from stages.detect import build_detector
    from stages.segment import PanopticMerge, build_segmenter, join_classes
    from stages.suppress import Suppress
    from stages.track import Track

    detector_config, segmenter_config = config.detector_config, config.segmenter_config
    if segmenter_config is not None and detector_config.model == EMBEDDED_MODEL:
        raise ConfigError(f"segmenter: {EMBEDDED_MODEL} gives masks of its own; name a detector model too, or drop it")
    lanes = lanes_for(detector_config)
    detector = build_detector(detector_config, lanes=lanes)
    stages: list[Stage] = [detector, Suppress(config.suppress)]
    classes, notes = detector.classes, [detector.note]
    if segmenter_config is not None:
        segmenter = build_segmenter(segmenter_config, lanes=lanes)
        classes, labels = join_classes(detector.classes.things, segmenter.class_names)
        stages += [segmenter, PanopticMerge(classes=classes, semantic_labels=labels, rule="boxes")]
        notes.append(segmenter.note)
    elif "semantic" in detector.adds:
        labels = list(range(len(classes.names)))
        stages.append(PanopticMerge(classes=classes, semantic_labels=labels, rule="instances"))
    stages.append(Track(config.tracker))
    notes.append(f"{lanes} frame{'s' if lanes > 1 else ''} side by side, batches of {batch_size(config)}")
    return Graph(stages, classes=classes, model=detector.model, lanes=lanes, notes=notes)


def lanes_for(detector: DetectorConfig) -> int:
    """Frames to infer side by side, with one thread each: small networks gain more from that than from batches."""
    return detector.requests or min(MOST_LANES, detector.threads or _usable_cores())


def batch_size(config: PipelineConfig) -> int:
    """Frames a batch; on a CPU one, because batching slows small networks there."""
    return config.batch.max_batch or 1


def build_sinks(config: PipelineConfig) -> list[Sink]:
    """The files a run writes. Raises `SinkError` where one cannot be opened."""
    from stages.publish import AnnotatedVideoSink, JsonLinesSink

    sinks: list[Sink] = []
    if config.output.directory is not None:
        sinks.append(JsonLinesSink(Path(config.output.directory)))
    if config.output.annotate is not None:
        sinks.append(AnnotatedVideoSink(Path(config.output.annotate), several=len(config.sources) > 1))
    return sinks


def build_publisher(config: PublishConfig) -> ZeroMQPublisher | None:
    """The publishing socket, bound; None where nothing is to be published. Raises `UsageError`, `SinkError`."""
    if config.bind is None:
        return None
    from stages.publish.zeromq import ZeroMQPublisher

    return ZeroMQPublisher(config.bind, high_water_mark=config.high_water_mark)


class Pipeline:
    """A pipeline for use in a program: everything in this process, without a socket.

    >>> for result in Pipeline(sources=["samples/crossing/crossing.mp4"]).run():
    ...     print(result.seq, len(result.detections), result.panoptic)
    """

    def __init__(self, sources: Sequence[str | SourceConfig | Mapping[str, Any]] = (), **settings: Any) -> None:
        """`settings` have the names and the shape of the configuration file. Raises `ConfigError`, `AddressError`."""
        values = {"sources": list(sources), **settings}
        self._config = check(parse(values, origin="Pipeline"))
        self._engine: InlineEngine | None = None

    @classmethod
    def from_config(cls, config: PipelineConfig | str | Path) -> Pipeline:
        """A pipeline from settings or from a YAML file. Raises `ConfigError`, `AddressError`."""
        settings = config if isinstance(config, PipelineConfig) else load(config)
        return cls(**{f: getattr(settings, f) for f in settings.__struct_fields__})

    @property
    def config(self) -> PipelineConfig:
        """The settings in force, every short form written out."""
        return self._config

    def run(self) -> Iterator[FrameResult]:
        """Results of all sources as they come, each source's in order; `gap_before` tells of frames lost before one.

        Raises the `SourceError` of a source that failed, after the others have ended.
        """
        return (item for item in self.items() if isinstance(item, FrameResult))

    def items(self) -> Iterator[FrameResult | Gap]:
        """What `run` gives, with each gap in its place."""
        from pipeline.engines.inline import InlineEngine

        with InlineEngine(
            self._config, open_source=open_source, build_graph=build_graph, build_sinks=build_sinks
        ) as engine:
            self._engine = engine
            yield from engine.items()

    def stop(self) -> None:
        """End a run from another thread: nothing more is read, and what was read still comes out."""
        if self._engine is not None:
            self._engine.stop()

    def statistics(self) -> RunStatistics:
        """Frames captured, resulted, dropped and in flight; throughput and latency of the run so far."""
        if self._engine is None:
            return RunStatistics(sources=(), elapsed_seconds=0.0)
        return self._engine.statistics()

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(source.source_id for source in self._config.source_configs)})"


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0))
