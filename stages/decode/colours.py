"""The colours of streams that do not name them."""

from __future__ import annotations

from pipeline.messages import Matrix

_SD_WIDTH, _SD_HEIGHT = 1280, 576  # below the one and up to the other, a picture is standard definition


def default_matrix(width: int, height: int) -> Matrix:
    """BT.601 in standard definition, else BT.709, as mpv does."""
    return "bt601" if width < _SD_WIDTH and height <= _SD_HEIGHT else "bt709"
