"""What decides what comes out of a recording, as a digest: results of another one are made anew."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pipeline.config import DetectorConfig, PipelineConfig, SegmenterConfig
from pipeline.footage.cutting import Selection

SIDE_BY_SIDE = ("threads", "requests")  # decide how fast results come, and not what they are


def settings_digest(config: PipelineConfig, selection: Selection = Selection()) -> str:  # noqa: B008 - frozen
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
    deciding["selection"] = msgspec.to_builtins(selection)
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
