"""Which names in a folder are footage, and in which order."""

from __future__ import annotations

import os
import re
from typing import Final

# Anything else in a folder of recordings is an index, a picture, a log, or not finished (`.mp4.part`).
SUFFIXES: Final = (
    *(".3gp", ".asf", ".avi", ".dav", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m4v"),
    *(".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogv", ".ts"),
    *(".vob", ".webm", ".wmv"),
)
_DIGITS = re.compile(r"([0-9]+)")

Order = tuple[tuple[str | int, ...], str]


def order_of(name: str) -> Order:
    """What names are sorted by: as text, but numbers by their value, so that `out1000` comes after `out999`."""
    parts = _DIGITS.split(name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name


def is_video(name: str) -> bool:
    """Whether a file in a folder is taken: a video by its suffix, and not a hidden one, as unfinished ones are."""
    return not name.startswith((".", "~")) and os.path.splitext(name)[1].lower() in SUFFIXES
