"""Configuration files: `ConfigError` or `AddressError`, or settings that can be written out and read again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pipeline.cli.annotated_yaml import annotated
from pipeline.config import PipelineConfig, check, dump, load
from pipeline.errors import AddressError, ConfigError
from tests.fuzz.scratch import scratch

SOURCES = """\
sources:
- door=rtsp://admin:${CAM}@192.168.1.20/stream1
- url: clip.mp4
  source_id: yard
  realtime: true
  read_timeout_seconds: 2.5
detector: {model: yolox_nano.onnx, layout: yolox, classes: [person, car]}
"""


def one_input(data: bytes) -> None:
    """The bytes as a file."""
    path = scratch("everyframe.yaml")
    path.write_bytes(data)
    try:
        config = load(path)
    except ConfigError:
        return
    with suppress(ConfigError, AddressError):
        resolved = check(config)
        annotated(resolved)
        path.write_text(dump(resolved), encoding="utf-8")
        assert load(path).batch == resolved.batch


def seeds() -> Iterator[bytes]:
    """What `everyframe config` prints, and what a person writes."""
    yield annotated(PipelineConfig()).encode()[:4000]
    yield dump(PipelineConfig()).encode()
    yield SOURCES.encode()
    yield b"&a [*a, 2001-12-14, 0x1F, 1_000, .inf, !!binary aGVsbG8=, <<: {x: 1}]\n"
