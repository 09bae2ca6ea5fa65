"""The file of sources that were added while running: `ConfigError`, or sources that are the same when kept again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pipeline.control.added import AddedSources
from pipeline.errors import ConfigError
from tests.fuzz.scratch import scratch


@cache
def store() -> AddedSources:
    """A store in memory."""
    added = AddedSources("street", scratch("state"))
    added.save([])
    return added


def one_input(data: bytes) -> None:
    """The bytes as the file that an earlier run left behind, or the disk made of it."""
    added = store()
    added.path.write_bytes(data)
    try:
        sources = added.load()
    except ConfigError:
        return
    added.save(sources.values())
    assert added.load() == sources


def seeds() -> Iterator[bytes]:
    """Sources as they are kept, and what a disk makes of them."""
    yield b'[{"url": "rtsp://user:${CAM}@127.0.0.1/a", "source_id": "door", "transport": "udp", "max_pixels": 1000}]'
    yield b'[{"url": "rtsp://127.0.0.1/a", "source_id": "a"}, {"url": "rtsps://[::1]/b", "source_id": "b"}]'
    yield from (b"[]", b"", b"[{}]", b"\x00" * 64)
