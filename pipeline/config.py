"""Settings: the YAML file, the constructor's keywords and `--print-config` share these names.

Every field carries its description and its limits; `describe` prints them, and a value outside is refused with its
path. Nothing here knows a network or a socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect
import yaml
from msgspec import Meta

from pipeline.address import (
    check_source_id,
    derive_source_id,
    expand,
    has_password,
    is_live,
    local_path,
    redact,
    scheme_of,
    scrub,
    split_name,
    unique,
)
from pipeline.errors import ConfigError

__all__ = [
    "BatchConfig",
    "DetectorConfig",
    "DetectorLayout",
    "OutputConfig",
    "PipelineConfig",
    "PublishConfig",
    "SegmenterConfig",
    "SourceConfig",
    "SupervisorConfig",
    "SuppressConfig",
    "TrackerConfig",
    "describe",
    "dump",
    "expand",
    "has_password",
    "is_live",
    "load",
    "local_path",
    "parse",
    "redact",
    "scheme_of",
    "scrub",
]

EMBEDDED_MODEL = "everyframe-nano"

DetectorLayout = Literal["auto", "nano", "yolox", "yolo", "nanodet", "picodet", "fastestdet", "ssd"]

Fraction01 = Annotated[float, Meta(ge=0.0, le=1.0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: keywords only, no unknown names, immutable."""


class SourceConfig(Settings, frozen=True, kw_only=True):
    """One camera or file."""

    url: Annotated[
        str, Meta(min_length=1, description="RTSP or HTTP URL, or a file; ${NAME} is taken from the environment.")
    ]
    source_id: Annotated[str, Meta(description="Its name in topics and files; empty: derived from the url.")] = ""
    realtime: Annotated[bool, Meta(description="Pace a file like a camera, dropping what comes too late.")] = False
    transport: Annotated[Literal["tcp", "udp"], Meta(description="How RTSP carries media.")] = "tcp"
    priority: Annotated[int, Meta(ge=1, le=100, description="Share of a busy network against other sources.")] = 1
    open_timeout_seconds: Annotated[
        float, Meta(gt=0, le=60, description="For connecting, and again for describing.")
    ] = 4.0
    read_timeout_seconds: Annotated[
        float, Meta(gt=0, le=600, description="Without a decoded frame the connection is given up.")
    ] = 10.0
    max_pixels: Annotated[int, Meta(ge=1024, description="Larger pictures are refused before they are allocated.")] = (
        8192 * 4320
    )

    @property
    def lossless(self) -> bool:
        """Whether nothing may be dropped: a file that is not paced."""
        return not is_live(self.url) and not self.realtime

    @property
    def shown(self) -> str:
        """The address fit for logs."""
        return redact(self.url)


class DetectorConfig(Settings, frozen=True, kw_only=True):
    """The network that finds things."""

    model: Annotated[str, Meta(description="'everyframe-nano' (embedded, panoptic) or a path to an ONNX detector.")] = (
        EMBEDDED_MODEL
    )
    layout: Annotated[
        DetectorLayout,
        Meta(description="Output layout of an ONNX detector; auto: read from the graph."),
    ] = "auto"
    backend: Annotated[
        Literal["auto", "openvino", "onnxruntime"], Meta(description="What runs the network; auto: OpenVINO.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "f32", "bf16"], Meta(description="Arithmetic; auto: bf16 where the processor has it.")
    ] = "auto"
    threads: Annotated[int, Meta(ge=0, le=256, description="Inference threads; 0: all cores.")] = 0
    requests: Annotated[
        int, Meta(ge=0, le=64, description="Frames inferred side by side; 0: chosen for the machine.")
    ] = 0
    score_threshold: Annotated[
        Annotated[float, Meta(ge=0.0, le=1.0)] | None,
        Meta(description="Boxes below are dropped before suppression. Null: the model's own."),
    ] = None
    classes: Annotated[list[str] | None, Meta(description="Class names to keep. Null: all.")] = None
    class_names: Annotated[
        list[str] | None, Meta(description="Names of a foreign detector's classes in its order. Null: COCO's 80.")
    ] = None


class SegmenterConfig(Settings, frozen=True, kw_only=True):
    """A semantic network beside a detector without masks (merge rule b)."""

    model: Annotated[str, Meta(min_length=1, description="Path to a semantic segmentation ONNX file.")]
    layout: Annotated[Literal["auto", "semantic", "twinlite"], Meta(description="auto: read from the graph.")] = "auto"
    backend: Annotated[Literal["auto", "openvino", "onnxruntime"], Meta(description="What runs the network.")] = "auto"
    precision: Annotated[
        Literal["auto", "f32", "bf16"], Meta(description="Arithmetic; auto: bf16 where the processor has it.")
    ] = "auto"
    threads: Annotated[int, Meta(ge=0, le=256, description="Inference threads; 0: all cores.")] = 0
    class_names: Annotated[
        list[str] | None, Meta(description="Names of its classes in its order. Null: known by channel count.")
    ] = None


class SuppressConfig(Settings, frozen=True, kw_only=True):
    """Removing boxes that find the same object again."""

    method: Annotated[
        Literal["soft-gaussian", "soft-linear", "hard", "matrix"], Meta(description="How overlapping boxes lose score.")
    ] = "soft-gaussian"
    sigma: Annotated[float, Meta(gt=0, le=10, description="Width of the gaussian decay.")] = 0.5
    iou_threshold: Annotated[Fraction01, Meta(description="Overlap above which hard and linear suppression act.")] = 0.5
    score_threshold: Annotated[Fraction01, Meta(description="Boxes below after suppression are dropped.")] = 0.1
    max_detections: Annotated[int, Meta(ge=1, le=10_000, description="Kept a frame, best first.")] = 100
    class_agnostic: Annotated[bool, Meta(description="Whether boxes of different classes suppress each other.")] = False


class TrackerConfig(Settings, frozen=True, kw_only=True):
    """Identities over time (ByteTrack's two passes over a Kalman filter)."""

    high_score: Annotated[Fraction01, Meta(description="Boxes from here are matched first and may start a track.")] = (
        0.5
    )
    low_score: Annotated[Fraction01, Meta(description="Boxes from here may still continue a track.")] = 0.1
    new_track_score: Annotated[Fraction01, Meta(description="Boxes from here start a track.")] = 0.5
    match_iou: Annotated[Fraction01, Meta(description="Overlap with the prediction needed in the first pass.")] = 0.15
    second_match_iou: Annotated[Fraction01, Meta(description="Overlap needed in the second pass.")] = 0.5
    confirm_frames: Annotated[int, Meta(ge=1, le=100, description="Sightings before a track is confirmed.")] = 2
    lost_seconds: Annotated[float, Meta(gt=0, le=60, description="How long a track may go unseen before it ends.")] = (
        1.5
    )


class BatchConfig(Settings, frozen=True, kw_only=True):
    """How frames of several sources are gathered for the network."""

    max_batch: Annotated[
        int, Meta(ge=0, le=256, description="Frames a batch; 0: chosen for the machine (1 on a CPU).")
    ] = 0
    max_wait_ms: Annotated[float, Meta(ge=0, le=10_000, description="Longest a frame waits for company.")] = 10.0
    queue_frames: Annotated[
        int, Meta(ge=1, le=64, description="Frames a source may have waiting; live, the newest wins.")
    ] = 2


class PublishConfig(Settings, frozen=True, kw_only=True):
    """The ZeroMQ socket results go out of."""

    bind: Annotated[str | None, Meta(description="Where to publish; loopback only. Null: nowhere.")] = (
        "tcp://127.0.0.1:5560"
    )
    high_water_mark: Annotated[int, Meta(ge=1, le=100_000, description="Messages kept for a slow subscriber.")] = 1000


class OutputConfig(Settings, frozen=True, kw_only=True):
    """Files to write."""

    directory: Annotated[str | None, Meta(description="Folder for results.jsonl and timings.jsonl. Null: none.")] = None
    annotate: Annotated[
        str | None, Meta(description="MP4 to draw results into; with several sources the name gets -<source>.")
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
    state_directory: Annotated[
        str | None, Meta(description="Where epochs are kept. Null: ~/.local/state/everyframe.")
    ] = None


class PipelineConfig(Settings, frozen=True, kw_only=True):
    """A whole pipeline."""

    sources: Annotated[
        list[str | SourceConfig], Meta(description="Cameras and files: 'url', 'name=url' or a mapping.")
    ] = []
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
    suppress: SuppressConfig = msgspec.field(default_factory=SuppressConfig)
    tracker: TrackerConfig = msgspec.field(default_factory=TrackerConfig)
    batch: BatchConfig = msgspec.field(default_factory=BatchConfig)
    publish: PublishConfig = msgspec.field(default_factory=PublishConfig)
    output: OutputConfig = msgspec.field(default_factory=OutputConfig)
    supervisor: SupervisorConfig = msgspec.field(default_factory=SupervisorConfig)

    def resolved(self) -> PipelineConfig:
        """The same with every short form written out and every source named. Raises `ConfigError`, `AddressError`."""
        detector = DetectorConfig(model=self.detector) if isinstance(self.detector, str) else self.detector
        segmenter = SegmenterConfig(model=self.segmenter) if isinstance(self.segmenter, str) else self.segmenter
        return msgspec.structs.replace(
            self, sources=list(named_sources(self.sources)), detector=detector, segmenter=segmenter
        )

    @property
    def source_configs(self) -> list[SourceConfig]:
        """The sources of a resolved configuration."""
        return [source for source in self.sources if isinstance(source, SourceConfig)]

    @property
    def detector_config(self) -> DetectorConfig:
        """The detector of a resolved configuration."""
        return DetectorConfig(model=self.detector) if isinstance(self.detector, str) else self.detector

    @property
    def segmenter_config(self) -> SegmenterConfig | None:
        """The segmenter of a resolved configuration."""
        return SegmenterConfig(model=self.segmenter) if isinstance(self.segmenter, str) else self.segmenter


def named_sources(sources: Iterable[str | SourceConfig]) -> list[SourceConfig]:
    """Every source as a mapping with an id that no other source has. Raises `AddressError`, `ConfigError`."""
    taken: set[str] = set()
    named = []
    for source in sources:
        if isinstance(source, str):
            name, url = split_name(source)
            source = SourceConfig(url=url, source_id=name or "")
        scheme_of(source.url)
        if source.source_id:
            source_id = check_source_id(source.source_id)
            if source_id in taken:
                raise ConfigError(f"sources: two are called {source_id!r}; every source needs its own name")
        else:
            source_id = unique(derive_source_id(source.url), taken)
        taken.add(source_id)
        named.append(msgspec.structs.replace(source, source_id=source_id))
    return named


def parse(values: Any, *, origin: str = "configuration") -> PipelineConfig:
    """Settings from plain values (a YAML document, keywords). Raises `ConfigError` with the path of the first fault."""
    try:
        return msgspec.convert(values, PipelineConfig)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{origin}: {_readable(str(exc))}") from exc


def load(path: str | Path) -> PipelineConfig:
    """Settings from a YAML file. Raises `ConfigError` naming the file and the path within it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read as a configuration file: {exc}") from exc
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{where}: not valid YAML: {getattr(exc, 'problem', None) or 'cannot be parsed'}"
        ) from exc
    return parse({} if values is None else values, origin=str(path))


def dump(config: PipelineConfig) -> str:
    """The configuration as YAML, secrets in source addresses left out."""
    values = msgspec.to_builtins(config)
    for i, source in enumerate(values["sources"]):
        if isinstance(source, str):
            name, url = split_name(source)
            values["sources"][i] = f"{name}={redact(url)}" if name else redact(url)
        else:
            source["url"] = redact(source["url"])
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def describe(settings: type[msgspec.Struct] = PipelineConfig, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every field as (path, default, description), nested settings included, in order."""
    rows: list[tuple[str, str, str]] = []
    info = msgspec.inspect.type_info(settings)
    assert isinstance(info, msgspec.inspect.StructType)
    for f in info.fields:
        path = f"{prefix}{f.encode_name}"
        default = "required" if f.required else _default(f)
        rows.append((path, default, _description(f.type)))
        for nested in _nested(f.type):
            rows.extend(describe(nested, f"{path}."))
    return rows


def _default(f: msgspec.inspect.Field) -> str:
    value = f.default if f.default is not msgspec.NODEFAULT else f.default_factory()
    if isinstance(value, msgspec.Struct):
        return ""
    return str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).removesuffix("...\n").strip()


def _description(info: msgspec.inspect.Type) -> str:
    if isinstance(info, msgspec.inspect.Metadata):
        text = str((info.extra_json_schema or {}).get("description", ""))
        choices = _choices(info.type)
        return f"{text} One of: {', '.join(choices)}." if choices else text
    if isinstance(info, msgspec.inspect.StructType):
        return (info.cls.__doc__ or "").strip()
    return ""


def _choices(info: msgspec.inspect.Type) -> list[str]:
    return [str(value) for value in info.values] if isinstance(info, msgspec.inspect.LiteralType) else []


def _nested(info: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    if isinstance(info, msgspec.inspect.Metadata):
        return _nested(info.type)
    if isinstance(info, msgspec.inspect.StructType):
        return [info.cls]
    if isinstance(info, msgspec.inspect.UnionType):
        return [cls for option in info.types for cls in _nested(option)]
    if isinstance(info, msgspec.inspect.ListType):
        return _nested(info.item_type)
    return []


def _readable(message: str) -> str:
    """msgspec's message with the path first, as a person writes it: ``batch.max_batch: Expected ...``."""
    text, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if "Invalid enum value" in text:
        descriptions = {name: description for name, _, description in describe()}
        choices = descriptions.get(re.sub(r"\[\d+\]", "", path), "").rpartition("One of: ")[2]
        text = f"{text.removeprefix('Invalid enum value ')} is not allowed; one of {choices.rstrip('.')} is"
    return f"{path}: {text}" if path else text


def check(config: PipelineConfig) -> PipelineConfig:
    """A resolved configuration that can run. Raises `ConfigError` where settings contradict each other."""
    resolved = config.resolved()
    if not resolved.sources:
        raise ConfigError("sources: none given; name at least one camera URL or file")
    tracker = resolved.tracker
    if tracker.low_score > tracker.high_score:
        raise ConfigError(f"tracker.low_score: {tracker.low_score} is above tracker.high_score {tracker.high_score}")
    return resolved
