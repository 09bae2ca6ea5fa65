"""A clip joined to itself until it is long enough to measure a frame by: what happens once a run is not of a frame."""

from __future__ import annotations

import shutil
from pathlib import Path

import av

RAW = (".h264", ".hevc")


def frame_count(clip: Path) -> int:
    """Frames of the clip, counted by its packets."""
    with av.open(str(clip)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def joined(clip: Path, folder: Path, *, frames: int) -> Path:
    """The clip, played again and again without a decode, with at least so many frames; the clip itself if it has."""
    times = -(-frames // frame_count(clip))
    if times == 1:
        return clip
    path = folder / (f"{clip.stem}.mkv" if clip.suffix == ".avi" else clip.name)  # AVI cannot be written back
    if clip.suffix in RAW:
        with path.open("wb") as file:
            for _ in range(times):
                with clip.open("rb") as part:
                    shutil.copyfileobj(part, file)
    else:
        _remux(clip, path, times)
    return path


def _remux(clip: Path, path: Path, times: int) -> None:
    with av.open(str(path), "w") as target:
        stream, end = None, 0
        for _ in range(times):
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or target.add_stream_from_template(video)
                offset: int | None = None
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    if offset is None:
                        offset = end - packet.dts
                    packet.dts += offset
                    packet.pts = packet.dts if packet.pts is None else packet.pts + offset
                    end = packet.dts + (packet.duration or 1)
                    packet.stream = stream
                    target.mux(packet)
