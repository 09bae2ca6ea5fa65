"""From configuration to stages, and `Pipeline`, the library's front door.

Beside `workshop`, the only file that knows both packages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from pipeline.config import (
    EMBEDDED_MODELS,
    NO_MODEL,
    PipelineConfig,
    PublishConfig,
    SourceConfig,
    SuppressConfig,
    check,
    check_keys,
    is_torch,
    load,
    parse,
)
from pipeline.config.events import check_services, secret_of
from pipeline.config.zones import ZonesConfig, load_zones
from pipeline.errors import ConfigError
from pipeline.messages import Classes, FrameResult, Gap, ModelInfo, Piece, RunStatistics, Survey, UInt8
from pipeline.messages.findings import Findings
from pipeline.stage import Access, Numbering, PacketReader, Reader, Sink, Stage

if TYPE_CHECKING:
    from pipeline.engines.inline import InlineEngine
    from pipeline.graph import Graph
    from pipeline.messages.panels import Panel
    from pipeline.workers.decoding import DeviceParts
    from stages.decode.piece_reader import PieceReader
    from stages.models.devices import Device
    from stages.models.zoo.model import TorchModel
    from stages.models.zoo.run import Machine
    from stages.publish.curve import Curve
    from stages.publish.zeromq import ZeroMQPublisher
    from stages.zones import ZoneWatch

LANES_ON_GPU = 3
MOST_LANES = 8  # past this a CPU's memory bandwidth, not its cores, is the limit


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
    """Open a camera or file. Raises `SourceError`, `AddressError`."""
    from stages.decode import open_source as opened

    return opened(source, next_epoch=next_epoch, access=access)


def survey(source: SourceConfig, *, access: Access) -> Survey:
    """Look a recording over without decoding it. Raises `SourceError`, `AddressError`."""
    from stages.decode.survey import survey as surveyed

    return surveyed(source, access=access)


def open_piece(source: SourceConfig, piece: Piece, *, access: Access) -> PieceReader:
    """Open a recording to decode a piece of it. Raises `SourceError`, `AddressError`."""
    from stages.decode.piece_reader import PieceReader

    return PieceReader(source, piece, access=access)


def numbering_of(recording: Survey, source_id: str, *, next_epoch: Callable[[], int]) -> Numbering:
    """What numbers and times the pictures of a recording."""
    from stages.decode.frame_maker import FrameMaker

    return FrameMaker(
        source_id,
        live=False,
        timed=True,
        reported=False,
        time_base=recording.time_base,
        rate=recording.rate,
        start_ns=recording.start_ns,
        next_epoch=next_epoch,
        wall_offset_ns=0,
    )


def build_tracker(config: PipelineConfig) -> Stage:
    """What follows the networks, and needs a source's frames in order. Raises `ConfigError`."""
    if config.tracker.camera_motion != "none":
        raise ConfigError(
            f"tracker.camera_motion: {config.tracker.camera_motion!r} needs pictures, which are gone when recordings' "
            "pieces are joined; none is allowed there, and `everyframe run` takes both"
        )
    from stages.track import Track

    return Track(config.tracker)


def open_packets(source: SourceConfig, *, access: Access) -> PacketReader:
    """The packets of a camera or file. Raises `SourceError`, `AddressError`."""
    from stages.decode.packet_reader import open_packets as opened

    return opened(source, access=access)


def device_parts(config: PipelineConfig) -> DeviceParts | None:
    """What decodes packets on the GPU that looks at them; None where there is none. Raises `ConfigError`."""
    device = _device(config)
    if not device.is_cuda:
        return None
    from stages.decode.device_parts import CudaParts

    return CudaParts(device.name)


def _device(config: PipelineConfig) -> Device:
    """What was asked for, ready to be waited for by many threads. Raises `ConfigError`."""
    from stages.models.devices import choose_device

    device = choose_device(config.device)
    if device.is_cuda:
        from stages.models.cuda_streams import sleep_while_waiting

        sleep_while_waiting(device.name)
    return device


class Prober(Protocol):
    """Looks at a source for a while; `tell` is given what is known so far. Raises `SourceError`, `AddressError`."""

    def __call__(
        self, source: SourceConfig, *, seconds: float, tell: Callable[[Findings], None], access: Access
    ) -> Findings: ...


def build_prober() -> Prober:
    """What looks a source over, loaded: so that loading it counts for nothing where time does."""
    from stages.decode.probe import probe

    return probe


def build_graph(config: PipelineConfig) -> Graph:
    """The chain from frames to tracks, networks loaded. Raises `ModelError`, `ConfigError`, `GraphError`."""
    from pipeline.graph import Graph

    if config.detector_config.model == NO_MODEL:
        return empty_graph(config)
    if "," in config.device:
        raise ConfigError(f"device: {config.device!r} is several, which needs engine local; in one process one is used")
    check_networks(config)
    from stages.track import Track

    lanes = lanes_for(config)
    built = _torch_stages(config, lanes) if is_torch(config.detector_config.model) else _onnx_stages(config, lanes)
    stages: list[Stage] = [*built.stages, Track(config.tracker)]
    side_by_side = f"{lanes} frame{'s' if lanes > 1 else ''}"
    if config.frames_a_batch > 1 and is_torch(config.detector_config.model):
        side_by_side = f"{lanes} batch{'es' if lanes > 1 else ''}"
    notes = [*built.notes, f"{side_by_side} side by side, batches of {config.frames_a_batch}"]
    return Graph(stages, classes=built.classes, model=built.model, lanes=lanes, notes=notes)


def check_networks(config: PipelineConfig) -> None:
    """Refuse networks that cannot work together, or on the device asked for. Raises `ConfigError`."""
    detector, segmenter = config.detector_config, config.segmenter_config
    if segmenter is not None and detector.model in EMBEDDED_MODELS:
        raise ConfigError(f"segmenter: {detector.model} gives masks of its own; name a detector model too, or drop it")
    of_torch = [is_torch(network.model) for network in (detector, segmenter) if network is not None]
    if len(set(of_torch)) > 1:
        raise ConfigError(
            "segmenter: detector and segmenter must both be ONNX files or both torch's (torchvision:, transformers:): "
            "two runtimes in one process slow each other down"
        )
    if not of_torch[0] and config.device not in ("auto", "cpu") and not config.onnx_may_use_gpu:
        raise ConfigError(
            f"device: {config.device!r} is not for {detector.model} by {_runtime_of(config)}, which runs on the CPU; "
            "with backend onnxruntime it can (pip install onnxruntime-gpu)"
        )


def _runtime_of(config: PipelineConfig) -> str:
    networks = (config.detector_config, config.segmenter_config)
    return next((n.backend for n in networks if n is not None and n.backend == "openvino"), "OpenVINO")


class _Built(NamedTuple):
    """Networks as stages, up to the tracker."""

    stages: list[Stage]
    classes: Classes
    model: ModelInfo
    notes: list[str]


def _onnx_stages(config: PipelineConfig, lanes: int) -> _Built:
    """ONNX networks, and the embedded one."""
    from stages.detect import build_detector
    from stages.models.onnx_placement import place
    from stages.segment import PanopticMerge, build_segmenter, join_classes
    from stages.suppress import Suppress

    placed = place(config.device, may_use_gpu=config.onnx_may_use_gpu, largest=config.frames_a_batch)
    detector = build_detector(config.detector_config, lanes=lanes, placed=placed)
    stages: list[Stage] = [detector, Suppress(config.suppress)]
    classes, notes = detector.classes, [*([placed.note] if placed.note else []), detector.note]
    if config.segmenter_config is not None:
        segmenter = build_segmenter(config.segmenter_config, lanes=lanes, placed=placed)
        classes, labels = join_classes(detector.classes.things, segmenter.class_names)
        stages += [segmenter, PanopticMerge(classes=classes, semantic_labels=labels, rule="boxes")]
        notes.append(segmenter.note)
    elif "semantic" in detector.adds:
        channels = list(range(len(classes.names)))
        stages.append(PanopticMerge(classes=classes, semantic_labels=channels, rule="instances"))
    notes += placed.told
    return _Built(stages, classes, detector.model, notes)


def _torch_stages(config: PipelineConfig, lanes: int) -> _Built:
    """Networks of torchvision and transformers: on a GPU nothing but boxes and runs leaves it."""
    from stages.detect.zoo import torch_detector
    from stages.models.zoo.run import Machine
    from stages.segment.zoo import torch_segmenter

    device = _device(config)
    machine = Machine(device=device, lanes=lanes, largest=config.frames_a_batch, offline=config.offline)
    model = torch_detector(config.detector_config, machine, config.suppress)
    beside = None
    if config.segmenter_config is not None:
        if model.gives == "panoptic":
            raise ConfigError(f"segmenter: {model.name} gives masks of its own; drop the segmenter")
        beside = torch_segmenter(config.segmenter_config, machine)
    chain = _device_chain if device.is_cuda else _host_chain
    return chain(config, model, beside, machine)


def _device_chain(config: PipelineConfig, model: TorchModel, beside: TorchModel | None, machine: Machine) -> _Built:
    """Everything up to the tracker as one stage."""
    from stages.zoo_on_device import zoo_on_device

    stage, classes = zoo_on_device(
        model,
        config.detector_config,
        machine,
        suppress=config.suppress if model.overlaps else without_overlaps(config.suppress),
        beside=beside,
        segmenter=config.segmenter_config,
    )
    return _Built([stage], classes, stage.model, [machine.device.note, stage.note])


def _host_chain(config: PipelineConfig, model: TorchModel, beside: TorchModel | None, machine: Machine) -> _Built:
    """Pictures made on the host, and what networks give read there: on a CPU that is faster."""
    from stages.detect.zoo import detect_with
    from stages.segment import join_classes
    from stages.segment.zoo import merge_for, panoptic_with, segment_with
    from stages.suppress import Suppress
    from stages.together import Together

    if model.gives == "panoptic":
        panoptic = panoptic_with(model, config.detector_config, machine)
        return _Built([panoptic], panoptic.classes, panoptic.model, [machine.device.note, panoptic.note])
    detector = detect_with(model, config.detector_config, machine)
    suppress = Suppress(config.suppress if detector.overlaps else without_overlaps(config.suppress))
    stages: list[Stage] = [detector, suppress]
    classes, labels, notes = detector.classes, None, [machine.device.note, detector.note]
    if beside is not None and config.segmenter_config is not None:
        segmenter = segment_with(beside, config.segmenter_config, machine)
        classes, labels = join_classes(detector.classes.things, segmenter.class_names)
        stages = [Together([detector, segmenter]), suppress]
        notes.append(segmenter.note)
    merge = merge_for(model, classes=classes, semantic_labels=labels)
    return _Built(stages if merge is None else [*stages, merge], classes, detector.model, notes)


def without_overlaps(config: SuppressConfig) -> SuppressConfig:
    """For a network that finds each object once: boxes only compete for being among the best."""
    return msgspec.structs.replace(config, method="hard", iou_threshold=1.0)


def empty_graph(config: PipelineConfig) -> Graph:
    """A chain without a stage: a result for every frame, and nothing in it. Raises `ConfigError`."""
    from pipeline.graph import Graph

    if config.segmenter_config is not None:
        raise ConfigError(f"segmenter: it needs a detector beside it, and detector.model is {NO_MODEL!r}")
    return Graph([], classes=Classes(()), model=ModelInfo(NO_MODEL, ""), notes=["no model: frames are decoded alone"])


def lanes_for(config: PipelineConfig) -> int:
    """Frames to infer side by side, with one thread each: small networks gain more from that than from batches.

    For a GPU, batches that are prepared and decoded while it works on another.
    """
    detector = config.detector_config
    if config.expects_gpu:
        return detector.requests or LANES_ON_GPU
    return detector.requests or min(MOST_LANES, detector.threads or _usable_cores())


def build_sinks(config: PipelineConfig) -> list[Sink]:
    """The files a run writes, Redis, and who hears of events. Raises `SinkError`, `UsageError`."""
    from stages.publish import AnnotatedVideoSink, ExportSink, JsonLinesSink

    sinks: list[Sink] = []
    if config.output.directory is not None:
        sinks.append(JsonLinesSink(Path(config.output.directory)))
    sinks += [ExportSink(name, file) for name, file in config.output.export.files.items()]
    if config.output.events is not None and config.zones is not None:
        from stages.publish.zone_events import ZoneEventsSink

        sinks.append(ZoneEventsSink(config.output.events, load_zones(config.zones)))
    if config.output.annotate is not None:
        sinks.append(AnnotatedVideoSink(Path(config.output.annotate), several=len(config.sources) > 1))
    if config.redis.url is not None:
        from stages.publish.redis import RedisSink

        sinks.append(RedisSink(config.redis, _spool_directory(config)))
    return [*sinks, *_event_sinks(config)]


def _event_sinks(config: PipelineConfig) -> Iterator[Sink]:
    check_services(config.mqtt, config.webhook)
    if config.mqtt.url is not None:
        try:
            from stages.publish.mqtt import MqttSink
        except ModuleNotFoundError as exc:
            raise ConfigError("mqtt.url: the package paho-mqtt is missing; pip install 'everyframe[mqtt]'") from exc
        yield MqttSink(config.mqtt, zones=None if config.zones is None else load_zones(config.zones))
    if config.webhook.url is not None:
        from stages.publish.webhook import WebhookSink

        yield WebhookSink(config.webhook, secret=secret_of(config.webhook.secret))


def _spool_directory(config: PipelineConfig) -> Path:
    """Where results wait for Redis: beside the epochs, a folder for each run that may go on at the same time."""
    if config.redis.spool_directory is not None:
        return Path(config.redis.spool_directory)
    from pipeline.epochs import default_directory

    state = Path(config.supervisor.state_directory or default_directory())
    name = config.supervisor.name or next((source.source_id for source in config.source_configs), "run")
    return state / "spool" / name


def build_zones(config: PipelineConfig) -> ZoneWatch | None:
    """What tells of lines and zones in this run; None where no file of them is given. Raises `ConfigError`."""
    return None if config.zones is None else watch_zones(load_zones(config.zones))


def watch_zones(zones: ZonesConfig) -> ZoneWatch:
    """What tells of lines crossed and zones visited, of any number of sources."""
    from stages.zones import ZoneWatch

    return ZoneWatch(zones)


def draw_chart(panels: Sequence[Panel], title: str) -> UInt8:
    """Panels with curves and bars, one below the other: RGB [H, W, 3]."""
    from stages.publish.chart import draw_chart as drawn

    return drawn(panels, title)


def build_publisher(config: PublishConfig) -> ZeroMQPublisher | None:
    """The publishing socket, bound; None where nothing is to be published. Raises `UsageError`, `SinkError`."""
    if config.bind is None:
        return None
    from stages.publish.zeromq import ZeroMQPublisher

    return ZeroMQPublisher(
        config.bind, high_water_mark=config.high_water_mark, curve=curve_of(config), frame=config.frame
    )


def curve_of(config: PublishConfig) -> Curve | None:
    """The key to publish with and whom to let in; None where nothing is encrypted. Raises `UsageError`."""
    check_keys(config)
    if config.key is None or config.clients is None:
        return None
    from pipeline.allow_list import AllowList
    from pipeline.keys import path_of, secret_key
    from stages.publish.curve import Curve

    own = secret_key(path_of(config.key), setting="publish.key")
    return Curve(own.secret, AllowList(path_of(config.clients)))


def export_files(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The files that each of these exports of a recording writes into its folder; a folder ends with a slash.

    Raises `ConfigError` where one is unknown, or lacks a package.
    """
    from stages.exports import EXPORTS, check_exports

    check_exports(names)
    return {name: EXPORTS[name].files for name in names}


def export_recording(
    names: Sequence[str],
    *,
    results: Path,
    folder: Path,
    video: Path | Sequence[Path],
    source: SourceConfig,
    tell: Callable[[int, int | None], None],
    stopping: Callable[[], bool],
) -> None:
    """Make exports of a finished recording: see `stages.exports.export_recording`.

    Raises `ConfigError`, `SinkError`, `SourceError`, `WireError`.
    """
    from stages.exports import export_recording as exported

    exported(names, results=results, folder=folder, video=video, source=source, tell=tell, stopping=stopping)


def draw_result(rgb: UInt8, result: FrameResult, *, before: Iterable[FrameResult] = ()) -> UInt8:
    """A picture [H, W, 3] with a result drawn over it, and trails of those before it.

    Raises `ValueError` where it is of another size.
    """
    from stages.publish.draw import draw
    from stages.publish.trails import Trails

    trails = Trails()
    for one in (*before, result):
        trails.update(one)
    return draw(rgb, result, trails)


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
