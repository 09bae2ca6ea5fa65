"""What a reader accepts: checked before anything of that size is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of one message. Depth needs none: known fields nest four deep, unknown ones are never built."""

    message_bytes: int = 64 * 1024 * 1024
    picture_pixels: int = 8192 * 4320  # of the source picture, and of the id map
    runs: int = 1_048_576  # of equal pixels in an id map; real maps have some ten thousand
    detections: int = 10_000
    segments: int = 10_000
    tracks: int = 10_000
    classes: int = 10_000
    words: int = 1_000  # entries of a mapping: drop reasons, stage timings


DEFAULT_LIMITS = Limits()


def check_count(what: str, count: int, limit: int) -> None:
    """Raises `WireError` if there are more than `limit`."""
    if count > limit:
        raise WireError(f"{what}: {count} declared; at most {limit} are accepted")


def check_area(what: str, width: int, height: int, limit: int) -> None:
    """Raises `WireError` for a picture without pixels or with more than `limit`."""
    if width < 1 or height < 1 or width * height > limit:
        raise WireError(f"{what}: {width}x{height} declared; 1 to {limit} pixels are accepted")
