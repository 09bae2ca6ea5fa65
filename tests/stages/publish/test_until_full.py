"""What a full disk leaves of a file is what was whole."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import SinkError
from stages.publish import until_full
from stages.publish.recorder import KEYFRAME_EVERY, VideoRecorder
from stages.publish.until_full import UntilFull

PICTURES = 2 * KEYFRAME_EVERY + 20


class Disk:
    """Takes so many bytes in all, then part of a write, then nothing; as `open` of the module."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: str | os.PathLike[str], mode: str, buffering: int) -> object:
        disk, file = self, open(path, mode, buffering)  # noqa: SIM115

        class Bounded:
            def write(self, data: memoryview) -> int:
                if not disk.room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                part = bytes(data[: disk.room])
                disk.room -= len(part)
                return file.write(part)

            def __getattr__(self, name: str) -> object:
                return getattr(file, name)

        return Bounded()


def test_it_is_cut_back_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(until_full, "open", Disk(10).open, raising=False)
    file = UntilFull(tmp_path / "f")
    file.write(b"whole")
    file.is_whole()
    file.write(b"ha")
    with pytest.raises(OSError, match="No space left"):
        file.write(b"lf...")
    file.seek(0)
    assert file.write(b"spoilt") == 6
    file.is_whole()
    file.close()
    assert (tmp_path / "f").read_bytes() == b"whole"


def recorded(path: Path) -> int:
    """Pictures written before the disk was full; one more where it never was."""
    chance = np.random.default_rng(1)
    recorder = VideoRecorder(path, width=64, height=48, time_base=Fraction(1, 25))
    for tick in range(PICTURES):
        try:
            recorder.write(chance.integers(0, 255, (48, 64, 3), dtype=np.uint8), tick=tick, duration=1)
        except SinkError:
            return tick
    try:
        recorder.close()
    except SinkError:
        return PICTURES
    return PICTURES + 1


def test_a_video_is_readable_wherever_the_disk_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.mp4"
    assert recorded(path) == PICTURES + 1
    size = path.stat().st_size
    first = size // 2  # by then there is a fragment
    for room in [*range(first, first + 900, 61), *range(size - 400, size, 97)]:
        monkeypatch.setattr(until_full, "open", Disk(room).open, raising=False)
        assert recorded(path) <= PICTURES
        with av.open(str(path)) as video:  # a fragment ends before the keyframe of the next
            assert sum(1 for _ in video.decode(video=0)) >= KEYFRAME_EVERY - 1, room
