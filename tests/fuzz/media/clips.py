"""Small recordings of every kind that is mutated, made on the fly."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.cameras.files import write_video
from tests.cameras.numbered import numbered_frames

FRAMES, WIDTH, HEIGHT = 12, 64, 48

_SMALL = {"preset": "ultrafast", "g": "4"}
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": (".h264", {"options": _SMALL}),
    "h264 b-frames": (".h264", {"options": {"preset": "fast", "g": "8", "bf": "2"}}),
    "h265": (".hevc", {"codec": "libx265", "options": {**_SMALL, "x265-params": "log-level=none:pools=1"}}),
    "mp4 h264": (".mp4", {"options": _SMALL}),
    "mp4 h264 fragmented": (".mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "mp4 h265": (".mp4", {"codec": "libx265", "options": {**_SMALL, "x265-params": "log-level=none:pools=1"}}),
    "avi mjpeg": (".avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "mjpeg": (".mjpeg", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "ts h264": (".ts", {"options": _SMALL}),
    "mkv h264": (".mkv", {"options": _SMALL}),
}


@cache
def clips() -> MappingProxyType[str, tuple[str, bytes]]:
    """Suffix and bytes of a whole recording of each kind."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (suffix, settings) in _KINDS.items():
            path = Path(folder) / f"clip{suffix}"
            write_video(path, numbered_frames(FRAMES, WIDTH, HEIGHT), **settings)
            made[kind] = (suffix, path.read_bytes())
    return MappingProxyType(made)
