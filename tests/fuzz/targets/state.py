"""Files of epochs: `ConfigError`, or an epoch that the wire can carry and that grows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipeline.epochs import EpochStore
from pipeline.errors import ConfigError
from tests.fuzz.scratch import scratch

LARGEST = 2**63 - 1  # what the wire's `epoch` can hold


@cache
def store() -> tuple[EpochStore, Path]:
    """A store in memory, and the file of one source in it."""
    root = scratch("state")
    return EpochStore(root), root / "epochs" / "door.epoch"


def one_input(data: bytes) -> None:
    """The bytes as the file that an earlier run left behind, or the disk made of it."""
    epochs, path = store()
    path.write_bytes(data)
    try:
        epoch = epochs.issue("door")
        following = epochs.issue("door")
    except ConfigError:
        return
    assert 1 <= epoch < following <= LARGEST


def seeds() -> Iterator[bytes]:
    """Epochs, and what a disk makes of them."""
    yield from (b"0\n", b"1\n", b"41\n", b"9223372036854775806\n", b" 7 ", b"-1\n", b"1_000", b"", b"\x00" * 8)
