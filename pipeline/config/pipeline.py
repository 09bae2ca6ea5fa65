"""A whole pipeline's settings: what it consists of, reading, checking and writing them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from pipeline.address import is_folder, redact, scheme_of, split_name
from pipeline.bind import check_api
from pipeline.config.description import describe as describe_settings
from pipeline.config.events import MqttConfig, WebhookConfig, check_events
from pipeline.config.exports import ExportConfig
from pipeline.config.gpus import gpu_count, has_gpu, onnxruntime_has_cuda
from pipeline.config.models import (
    EMBEDDED_MODEL,
    DetectorConfig,
    SegmenterConfig,
    SuppressConfig,
    TrackerConfig,
    is_openvino,
    is_torch,
)
from pipeline.config.redis import RedisConfig, check_redis
from pipeline.config.settings import Settings
from pipeline.config.sources import SourceConfig, check_source, named_sources
from pipeline.config.yaml_file import read_yaml
from pipeline.config.zones import load_zones
from pipeline.errors import ConfigError

FRAMES_OF_FILES = 4  # a batch: measured, it saves 5 % of the processor time of one; more saves little else
FRAMES_ON_GPU = 8
ONE_STREAM = frozenset({"rtsp", "rtsps", "http", "https", "file"})  # whose packets can be decoded elsewhere


class BatchConfig(Settings, frozen=True, kw_only=True):
    """How frames of several sources are gathered for the network."""

    max_batch: Annotated[
        int, Meta(ge=0, le=256, description="Frames a batch; 0: chosen (on a CPU 1, or 4 of files alone; on a GPU 8).")
    ] = 0
    max_wait_ms: Annotated[
        float, Meta(ge=0, le=10_000, description="Longest a frame waits for company of any source.")
    ] = 10.0
    queue_frames: Annotated[
        int, Meta(ge=1, le=64, description="Frames a source may have waiting; live, the newest wins.")
    ] = 2
    stale_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=60_000,
            description="A live frame that has waited longer is given up as late (0: none); engine local.",
        ),
    ] = 0.0


class FrameConfig(Settings, frozen=True, kw_only=True):
    """Pictures of the frames that results belong to, for subscribers of the kind `frame`."""

    width: Annotated[int, Meta(ge=16, le=8192, description="Pixels across; never more than the source has.")] = 640
    frames_a_second: Annotated[float, Meta(gt=0, le=60, description="At most, of each source.")] = 1.0
    quality: Annotated[int, Meta(ge=1, le=100, description="Of the JPEG.")] = 80


class PublishConfig(Settings, frozen=True, kw_only=True):
    """The ZeroMQ socket results go out of."""

    bind: Annotated[
        str | None, Meta(description="Where to publish; off-host only with a key and clients. Null: nowhere.")
    ] = "tcp://127.0.0.1:5560"
    high_water_mark: Annotated[int, Meta(ge=1, le=100_000, description="Messages kept for a slow subscriber.")] = 1000
    key: Annotated[
        str | None, Meta(description="Its secret key, a file NAME.key of 'everyframe keys make'. Null: not encrypted.")
    ] = None
    clients: Annotated[
        str | None,
        Meta(description="File of the public keys let in, a line KEY NAME each; read again when changed."),
    ] = None
    frame: Annotated[
        FrameConfig | None, Meta(description="Offer JPEGs of the frames, coded only while subscribed to. Null: none.")
    ] = None


class OutputConfig(Settings, frozen=True, kw_only=True):
    """Files to write."""

    directory: Annotated[str | None, Meta(description="Folder for results.jsonl and timings.jsonl. Null: none.")] = None
    annotate: Annotated[
        str | None, Meta(description="MP4 to draw results into; with several sources the name gets -<source>.")
    ] = None
    export: ExportConfig = msgspec.field(default_factory=ExportConfig)
    events: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="File of JSON lines: what happens at lines and in zones. Null: none."),
    ] = None


class ApiConfig(Settings, frozen=True, kw_only=True):
    """HTTP for those who watch over a run: /healthz, /readyz and /metrics."""

    bind: Annotated[
        str | None,
        Meta(description="HOST:PORT to listen on, as 127.0.0.1:9560; off-host only with a token. Null: nowhere."),
    ] = None
    token: Annotated[
        Annotated[str, Meta(pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$")] | None,
        Meta(description="What a request must carry as 'Authorization: Bearer', only as ${NAME}. Null: nothing."),
    ] = None


class SupervisorConfig(Settings, frozen=True, kw_only=True):
    """How long things may take, and when they are tried again."""

    retry_first_seconds: Annotated[float, Meta(gt=0, le=3600, description="Wait before the first reconnect.")] = 1.0
    retry_max_seconds: Annotated[float, Meta(gt=0, le=3600, description="Longest wait between reconnects.")] = 60.0
    auth_retry_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Wait after refused credentials or a missing path.")
    ] = 60.0
    frame_deadline_seconds: Annotated[
        float, Meta(gt=0, le=600, description="A worker silent for longer is replaced.")
    ] = 3.0
    load_deadline_seconds: Annotated[float, Meta(gt=0, le=3600, description="Time a model may take to load.")] = 120.0
    stop_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Time to drain after Ctrl-C before workers are ended.")
    ] = 4.0
    name: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None,
        Meta(
            description="What 'everyframe source' and 'reload' call it. Null: as its file or first source is called.",
        ),
    ] = None
    max_sources: Annotated[
        int, Meta(ge=1, le=1024, description="Sources at once, with those added while running; at least those given.")
    ] = 64
    state_directory: Annotated[
        str | None, Meta(description="Where epochs are kept. Null: ~/.local/state/everyframe.")
    ] = None


class PipelineConfig(Settings, frozen=True, kw_only=True):
    """A whole pipeline."""

    sources: Annotated[
        list[str | SourceConfig], Meta(description="Cameras and files: 'url', 'name=url' or a mapping.")
    ] = msgspec.field(default_factory=list)
    files_root: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Folder that every source file must lie in, links followed. Null: files may lie anywhere."),
    ] = None
    engine: Annotated[
        Literal["auto", "inline", "local"],
        Meta(
            description="inline: in this process; local: in workers; auto: local for the command, inline in a program."
        ),
    ] = "auto"
    detector: Annotated[str | DetectorConfig, Meta(description="A model (name or path) or a mapping.")] = msgspec.field(
        default_factory=DetectorConfig
    )
    segmenter: Annotated[
        str | SegmenterConfig | None, Meta(description="A model path or a mapping; null: what the detector gives.")
    ] = None
    device: Annotated[
        str,
        Meta(
            pattern=r"^(auto|cuda|cpu(,cpu)*|cuda:[0-9]{1,2}(,cuda:[0-9]{1,2})*)$",
            description="What models run on: auto (a GPU where there is one and the model can), cpu, cuda (all there "
            "are), cuda:N, or several: [cuda:0, cuda:1]. Each has a worker, and sources are spread over them by load.",
        ),
    ] = "auto"
    decode: Annotated[
        Literal["auto", "cpu", "nvdec"],
        Meta(
            description="Where frames are decoded: nvdec (on the GPU that looks at them), cpu (a process a source), or"
            " auto (on the GPU if the model runs there). What the GPU's decoder does not take is decoded on the CPU."
        ),
    ] = "auto"
    offline: Annotated[
        bool, Meta(description="Fetch no weights: a model whose weights are not here says which file to put where.")
    ] = False
    suppress: SuppressConfig = msgspec.field(default_factory=SuppressConfig)
    tracker: TrackerConfig = msgspec.field(default_factory=TrackerConfig)
    zones: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="YAML file of lines and zones, whose events are published; see stages/zones/README.md."),
    ] = None
    batch: BatchConfig = msgspec.field(default_factory=BatchConfig)
    publish: PublishConfig = msgspec.field(default_factory=PublishConfig)
    redis: RedisConfig = msgspec.field(default_factory=RedisConfig)
    mqtt: MqttConfig = msgspec.field(default_factory=MqttConfig)
    webhook: WebhookConfig = msgspec.field(default_factory=WebhookConfig)
    output: OutputConfig = msgspec.field(default_factory=OutputConfig)
    api: ApiConfig = msgspec.field(default_factory=ApiConfig)
    supervisor: SupervisorConfig = msgspec.field(default_factory=SupervisorConfig)

    def resolved(self) -> PipelineConfig:
        """The same with every short form written out and every source named. Raises `ConfigError`, `AddressError`."""
        detector = DetectorConfig(model=self.detector) if isinstance(self.detector, str) else self.detector
        segmenter = SegmenterConfig(model=self.segmenter) if isinstance(self.segmenter, str) else self.segmenter
        return msgspec.structs.replace(
            self,
            sources=list(named_sources(self.sources)),
            files_root=self.files_root and os.path.realpath(self.files_root),
            detector=detector,
            segmenter=segmenter,
        )

    @property
    def source_configs(self) -> list[SourceConfig]:
        """The sources of a resolved configuration."""
        return [source for source in self.sources if isinstance(source, SourceConfig)]

    @property
    def hands_on_pictures(self) -> bool:
        """Whether the publisher is given the pictures of frames: to draw on them, or to show them."""
        shows = self.publish.bind is not None and self.publish.frame is not None
        return shows or self.output.annotate is not None

    @property
    def frames_a_batch(self) -> int:
        """Frames a batch, as set or chosen; on a CPU most networks take them one by one all the same."""
        files_alone = all(source.offline for source in self.source_configs)
        if self.expects_gpu:
            return self.batch.max_batch or FRAMES_ON_GPU
        return self.batch.max_batch or (FRAMES_OF_FILES if files_alone else 1)

    @property
    def devices(self) -> tuple[str, ...]:
        """Each device that has a vision worker of its own."""
        if self.device == "cuda" and gpu_count() > 1:
            return tuple(f"cuda:{i}" for i in range(gpu_count()))
        return tuple(self.device.split(","))

    @property
    def expects_gpu(self) -> bool:
        """Whether the networks will run on a GPU, as far as can be told without loading torch."""
        if self.device.startswith("cpu") or not has_gpu():
            return False
        return is_torch(self.detector_config.model) or (self.onnx_may_use_gpu and onnxruntime_has_cuda())

    @property
    def onnx_may_use_gpu(self) -> bool:
        """Whether ONNX networks, if these are, may run on a GPU: the embedded one and OpenVINO's stay on the CPU."""
        networks = [n for n in (self.detector_config, self.segmenter_config) if n is not None]
        if any(network.backend == "openvino" or is_openvino(network.model) for network in networks):
            return False
        return self.detector_config.model != EMBEDDED_MODEL or self.detector_config.backend == "onnxruntime"

    @property
    def decodes_on_device(self) -> bool:
        """Whether vision workers decode, as far as can be told without loading torch."""
        return self.decode == "nvdec" or (self.decode == "auto" and self.expects_gpu)

    def sends_packets_of(self, source: SourceConfig) -> bool:
        """Whether a source's camera worker leaves decoding to the vision worker, unless that cannot do it."""
        one_stream = scheme_of(source.url) in ONE_STREAM and not is_folder(source.url)
        return self.decodes_on_device and source.decode != "cpu" and not source.realtime and one_stream

    @property
    def detector_config(self) -> DetectorConfig:
        """The detector of a resolved configuration."""
        return DetectorConfig(model=self.detector) if isinstance(self.detector, str) else self.detector

    @property
    def segmenter_config(self) -> SegmenterConfig | None:
        """The segmenter of a resolved configuration."""
        return SegmenterConfig(model=self.segmenter) if isinstance(self.segmenter, str) else self.segmenter


def parse(values: Any, *, origin: str = "configuration") -> PipelineConfig:
    """Settings from plain values (a YAML document, keywords). Raises `ConfigError` with the path of the first fault."""
    if isinstance(values, dict) and isinstance(devices := values.get("device"), list):
        values = {**values, "device": ",".join(map(str, devices))}
    try:
        return msgspec.convert(values, PipelineConfig)
    except msgspec.ValidationError as exc:
        told = redact(_readable(str(exc)))
    raise ConfigError(f"{origin}: {told}")  # not chained, since the other error may quote a password


def load(path: str | Path) -> PipelineConfig:
    """Settings from a YAML file. Raises `ConfigError` naming the file and the path within it."""
    values = read_yaml(path, what="configuration file")
    return parse({} if values is None else values, origin=str(path))


def dump(config: PipelineConfig) -> str:
    """The configuration as YAML, secrets in addresses left out."""
    values = msgspec.to_builtins(config)
    for i, source in enumerate(values["sources"]):
        if isinstance(source, str):
            name, url = split_name(source)
            values["sources"][i] = f"{name}={redact(url)}" if name else redact(url)
        else:
            source["url"] = redact(source["url"])
    for service in ("redis", "mqtt", "webhook"):
        if values[service]["url"] is not None:
            values[service]["url"] = redact(values[service]["url"])
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (path, default, description), nested ones included, in order."""
    return describe_settings(PipelineConfig)


def _readable(message: str) -> str:
    """msgspec's message with the path first, as a person writes it: ``batch.max_batch: Expected ...``."""
    text, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if "Invalid enum value" in text:
        choices = _described(path).rpartition("One of: ")[2]
        text = f"{text.removeprefix('Invalid enum value ')} is not allowed; one of {choices.rstrip('.')} is"
    if "matching regex" in text:
        text = f"not allowed as it stands. {_described(path)}"
    return f"{path}: {text}" if path else text


def _described(path: str) -> str:
    return {name: text for name, _, text in describe()}.get(re.sub(r"\[\d+\]", "", path), "")


def check(config: PipelineConfig) -> PipelineConfig:
    """A resolved configuration that can run. Raises `ConfigError` where settings contradict each other."""
    resolved = config.resolved()
    if not resolved.sources:
        raise ConfigError("sources: none given; name at least one camera URL or file")
    if resolved.files_root is not None and not os.path.isdir(resolved.files_root):
        raise ConfigError(f"files_root: {resolved.files_root} is no folder; name one that is there")
    for source in resolved.source_configs:
        check_source(source, files_root=resolved.files_root)
    check_api(resolved.api.bind, resolved.api.token)
    check_keys(resolved.publish)
    check_redis(resolved.redis)
    check_events(resolved.mqtt, resolved.webhook)
    _check_zones(resolved)
    tracker = resolved.tracker
    if tracker.low_score > tracker.high_score:
        raise ConfigError(f"tracker.low_score: {tracker.low_score} is above tracker.high_score {tracker.high_score}")
    return resolved


def _check_zones(config: PipelineConfig) -> None:
    if config.zones is not None:
        load_zones(config.zones)
    elif config.output.events is not None:
        raise ConfigError(
            f"output.events: {config.output.events} needs lines and zones to tell of; name a zones file too"
        )


def check_keys(publish: PublishConfig) -> None:
    """Refuse to encrypt for everybody, or to let in by keys without encrypting. Raises `ConfigError`."""
    if (publish.key is None) != (publish.clients is None):
        missing, given = ("clients", "key") if publish.clients is None else ("key", "clients")
        raise ConfigError(
            f"publish.{missing}: null, while publish.{given} is set; a key for this end and the list of the keys that "
            "are let in belong together ('everyframe keys make NAME' makes keys)"
        )
