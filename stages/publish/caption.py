"""The line at the foot of a drawn frame: which source, when, and how many of what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pipeline.messages import FrameResult, TrackState, UInt8
from stages.publish.colours import INK, WHITE, Colour, mix
from stages.publish.layer import panel
from stages.publish.tags import BOLD, CAP_HEIGHT, REGULAR, Box, put_text, text_width
from stages.publish.trails import moment

UNTRACKED_SCORE: Final = 0.3  # a detection without a track is drawn and counted from this score
ALARM: Final[Colour] = (255, 176, 32)
FAINT: Final = mix(WHITE, INK, 0.35)

Words = tuple[str, int, Colour]  # text, weight, colour


def when(result: FrameResult) -> str:
    """The capture time of a camera as UTC; the position in a recording as minutes and seconds."""
    if result.clock in ("rtcp", "host"):
        at = datetime.fromtimestamp(result.capture_time_ns // 1_000_000 / 1000, tz=UTC)
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
    minutes, seconds = divmod(moment(result), 60) if result.pts is not None else (0, 0.0)
    return f"{int(minutes):02d}:{seconds:06.3f}" if result.pts is not None else f"frame {result.seq}"


def counts(result: FrameResult) -> list[tuple[str, int]]:
    """Class names with the number of confirmed tracks of each, most first; of detections where nothing is tracked."""
    tracks, detections = result.tracks, result.detections
    found = detections.labels[detections.scores >= UNTRACKED_SCORE]
    labels = tracks.labels[tracks.states == TrackState.CONFIRMED] if tracks.alive.any() else found
    counted = Counter(result.class_name(label) for label in labels.tolist())
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True, slots=True)
class Caption:
    """The line at the lower left, and where it stands."""

    words: list[Words]
    place: Box
    size: int  # of the letters, pixels


def caption_of(result: FrameResult, *, width: int, height: int, size: int, notice: str = "") -> Caption | None:
    """The line of a picture of this size; what does not fit is left away, last words first. None where nothing fits."""
    margin, gap = round(0.7 * size), 0.9 * size
    words = _fitting(_words(result, notice), size, width - 2 * margin - 1.4 * size)
    if not words:
        return None
    length = sum(text_width(text, size, weight) for text, weight, _ in words) + _space(words, gap)
    left, bottom = float(margin), float(height - margin)
    return Caption(words, (left, bottom - 1.9 * size, left + length + 1.4 * size, bottom), size)


def draw_caption(rgb: UInt8, caption: Caption) -> None:
    """Draw it into the picture."""
    size, (left, top, _, bottom) = caption.size, caption.place
    panel(rgb, caption.place, 0.55 * size, INK, 0.72)
    x, base = left + 0.7 * size, bottom - (bottom - top - CAP_HEIGHT * size) / 2
    for i, (text, weight, colour) in enumerate(caption.words):
        put_text(rgb, text, (x, base), colour, size, weight)
        x += text_width(text, size, weight) + _gap_after(caption.words, i, 0.9 * size)


def _words(result: FrameResult, notice: str) -> list[Words]:
    words: list[Words] = [(result.source_id, BOLD, WHITE), (when(result), REGULAR, FAINT)]
    if notice:
        words.append((notice, BOLD, ALARM))
    if not result.analysed:
        words.append(("predicted", REGULAR, FAINT))
    for name, count in counts(result):
        words += [(name, REGULAR, FAINT), (str(count), BOLD, WHITE)]
    return words


def _gap_after(words: list[Words], i: int, gap: float) -> float:
    """A count stands close to its class name."""
    return gap * 0.45 if i + 1 < len(words) and words[i + 1][0].isdigit() else gap


def _space(words: list[Words], gap: float) -> float:
    return sum(_gap_after(words, i, gap) for i in range(len(words) - 1))


def _fitting(words: list[Words], size: int, room: float) -> list[Words]:
    kept = list(words)
    while kept and sum(text_width(t, size, w) for t, w, _ in kept) + _space(kept, 0.9 * size) > room:
        kept.pop()
    return kept
