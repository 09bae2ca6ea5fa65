"""Files that are no video: one typed error each. Those that are no longer whole stand in tests/faults."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.errors import (
    AddressError,
    SourceError,
    SourceNotFound,
    SourceUnreachable,
    SourceUnsupported,
)
from tests.cameras import numbered_frames, numbered_video
from tests.cameras.files import write_video
from tests.reading import read_source


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """40 numbered frames; the index stands before the pictures, so that half of the file can still be read."""
    return write_video(
        tmp_path / "clip.mp4", numbered_frames(40, 320, 240), container_options={"movflags": "faststart"}
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"cam: .*nothing\.mp4 does not exist"):
        read_source(tmp_path / "nothing.mp4")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceUnsupported, match="is a folder; name a video file in it"):
        read_source(tmp_path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceUnsupported, match="neither a file nor an address"):
        read_source(tmp_path / "pipe.mp4")


@pytest.mark.parametrize(("name", "why"), [("a" * 300 + ".mp4", "File name too long"), ("a\0.mp4", "null byte")])
def test_a_file_that_the_system_will_not_open(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(SourceUnreachable, match=f"cannot be opened: .*{why}"):
        read_source(f"{tmp_path}/{name}")


def test_text_called_mp4(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video\n" * 1000)
    with pytest.raises(SourceUnsupported, match=r"text\.mp4 is no video that can be read"):
        read_source(path)


PLAYLISTS = {
    "list.mp4": "ffconcat version 1.0\nfile {other}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {other}\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "list.mov": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "frame%03d.jpg": "not a pattern",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_nothing(tmp_path: Path, clip: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].format(other=clip.name))
    with pytest.raises(SourceUnsupported, match="is no video that can be read"):
        read_source(path)


def test_protocols_of_ffmpeg_are_not_addresses(clip: Path) -> None:
    with pytest.raises(AddressError, match="has the scheme 'concat'"):
        read_source(f"concat:{clip}|{clip}")
    with pytest.raises(SourceNotFound):
        read_source(f"subfile,,start,0,end,0,,:{clip}")


def test_a_file_whose_name_looks_like_a_protocol_is_a_file(clip: Path) -> None:
    path = clip.with_name("concat:clip.mp4")
    clip.rename(path)
    assert len(read_source(path).frames) == 40


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
def test_a_picture_larger_than_allowed_is_refused_before_it_is_decoded(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"bomb.{suffix}", numbered_frames(2, 640, 480))
    with pytest.raises(SourceUnsupported, match=r"declares pictures of 640x480; at most max_pixels = 307199 pixels"):
        read_source(path, max_pixels=640 * 480 - 1)
    assert len(read_source(path, max_pixels=640 * 480).frames) == 2


def test_a_picture_that_grows_beyond_what_is_allowed_gives_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "grows.h264"
    path.write_bytes(annex_b(60, 320, 240) + annex_b(5, 640, 480))
    reading = read_source(path, max_pixels=640 * 480 - 1)
    assert {(frame.width, frame.height) for frame in reading.frames} == {(320, 240)}
    assert len(reading.frames) + reading.undecoded == 65


def annex_b(count: int, width: int, height: int) -> bytes:
    video = numbered_video(count, width, height)
    return b"".join(b"\x00\x00\x00\x01" + nal for unit in video.units for nal in unit.nals)


def test_only_our_errors_come_out_of_mutated_files(tmp_path: Path) -> None:
    """13 % of mutated files make PyAV raise what is no FFmpegError (FAULTS.md)."""
    chance = random.Random(0)
    original = write_video(tmp_path / "whole.mp4", numbered_frames(6, 64, 48), metadata={"title": "a"}).read_bytes()
    path = tmp_path / "mutated.mp4"
    outcomes = set()
    for _ in range(150):
        data = bytearray(original)
        for _ in range(chance.choice([1, 4, 32])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            reading = read_source(path, max_pixels=1 << 20)
        except SourceError as exc:
            outcomes.add(type(exc))
        else:
            outcomes.add(type(reading.fault))
            assert reading.sequence == sorted(reading.sequence)
    assert type(None) in outcomes
    assert SourceUnsupported in outcomes
