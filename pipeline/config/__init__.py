"""Settings: the YAML file, the constructor's keywords and `--print-config` share these names.

Every field carries its description and its limits; `describe` prints them, and a value outside is refused with its
path. Nothing here knows a network or a socket.
"""

from __future__ import annotations

from pipeline.address import (
    device_path,
    expand,
    has_password,
    is_folder,
    is_live,
    is_recording,
    local_path,
    redact,
    scheme_of,
    scrub,
)
from pipeline.config.events import MqttConfig, WebhookConfig
from pipeline.config.exports import ExportConfig
from pipeline.config.models import (
    EMBEDDED_INT8,
    EMBEDDED_MODEL,
    EMBEDDED_MODELS,
    NO_MODEL,
    DetectorConfig,
    DetectorLayout,
    SegmenterConfig,
    SuppressConfig,
    TrackerConfig,
    is_torch,
)
from pipeline.config.pipeline import (
    ApiConfig,
    BatchConfig,
    FrameConfig,
    OutputConfig,
    PipelineConfig,
    PublishConfig,
    SupervisorConfig,
    check,
    check_keys,
    describe,
    dump,
    load,
    parse,
)
from pipeline.config.redis import RedisConfig
from pipeline.config.sources import (
    STANDARD_INPUT_DESCRIPTOR,
    SourceConfig,
    check_added,
    check_source,
    check_standard_input,
    named_sources,
)
from pipeline.files_root import check_opened

__all__ = [
    "EMBEDDED_INT8",
    "EMBEDDED_MODEL",
    "EMBEDDED_MODELS",
    "NO_MODEL",
    "STANDARD_INPUT_DESCRIPTOR",
    "ApiConfig",
    "BatchConfig",
    "DetectorConfig",
    "DetectorLayout",
    "ExportConfig",
    "FrameConfig",
    "MqttConfig",
    "OutputConfig",
    "PipelineConfig",
    "PublishConfig",
    "RedisConfig",
    "SegmenterConfig",
    "SourceConfig",
    "SupervisorConfig",
    "SuppressConfig",
    "TrackerConfig",
    "WebhookConfig",
    "check",
    "check_added",
    "check_keys",
    "check_opened",
    "check_source",
    "check_standard_input",
    "describe",
    "device_path",
    "dump",
    "expand",
    "has_password",
    "is_folder",
    "is_live",
    "is_recording",
    "is_torch",
    "load",
    "local_path",
    "named_sources",
    "parse",
    "redact",
    "scheme_of",
    "scrub",
]
