"""Whether a source can be used, and what is to be known about it: pure rules on what a probe found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.cli.probe_run import Outcome
from pipeline.messages.findings import Findings

Word = Literal["usable", "usable, but", "not usable"]

SLOW_KEYFRAME_SECONDS: Final = 5.0  # how long a person waits for the first picture without wondering
RATE_SHARE: Final = 0.1  # declared and measured rates that differ by less are the same
LATE_SHARE: Final = 0.8  # frames that arrive at less than this share of their rate are late or lost
CLOCK_SECONDS: Final = 2.0  # by which a camera's clock may be off: network and decoding are in it too
SLOW_OPEN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, and why, a sentence each."""

    word: Word
    reasons: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a run with this source would give results."""
        return self.word != "not usable"


def verdict_on(outcome: Outcome) -> Verdict:
    """The verdict on a probe that has ended."""
    found = outcome.findings
    if outcome.error is not None:
        return Verdict("not usable", (str(outcome.error),))
    if found is None or found.frames == 0:
        return Verdict("not usable", ("no frame of it can be decoded",))
    reasons = tuple(reason for rule in RULES for reason in rule(found))
    return Verdict("usable, but", reasons) if reasons else Verdict("usable")


def _undecoded(found: Findings) -> Iterator[str]:
    if found.undecoded:
        packets = "1 packet" if found.undecoded == 1 else f"{found.undecoded} packets"
        yield f"{packets} gave no picture: it is damaged, or the network loses some of it"


def _damaged(found: Findings) -> Iterator[str]:
    if found.damaged:
        pictures = "1 picture has" if found.damaged == 1 else f"{found.damaged} pictures have"
        yield f"{pictures} parts that the decoder had to guess: it is damaged, or the network loses some of it"


def _keyframes(found: Findings) -> Iterator[str]:
    """A camera's only: a file is read from its start."""
    longest = found.keyframes.longest_seconds
    if not found.live or longest is None or longest < SLOW_KEYFRAME_SECONDS:
        return
    if found.keyframes.interval_frames is None:
        yield f"no second keyframe came in {longest:.1f} s: a reconnect may take that long; set a shorter interval"
    else:
        yield f"{longest:.1f} s passed between keyframes: a reconnect may take that long; set a shorter interval"


def _declared_rate(found: Findings) -> Iterator[str]:
    declared, measured = found.stream.declared_rate, found.measured_rate
    if declared and measured and found.clock != "host" and abs(measured - declared) > RATE_SHARE * declared:
        yield f"it declares {declared:.4g} frames a second, and {measured:.4g} were measured"


def _arrival(found: Findings) -> Iterator[str]:
    arrived, measured = found.arrival_rate, found.measured_rate
    if arrived and measured and arrived < LATE_SHARE * measured:
        yield f"frames arrived at {arrived:.3g} a second instead of {measured:.3g}: the network or this machine is slow"


def _speed(found: Findings) -> Iterator[str]:
    rate = found.measured_rate or found.stream.declared_rate
    if found.cpu_ms_a_frame and rate and found.cpu_ms_a_frame * rate > 1000:
        yield f"a core of this machine decodes {1000 / found.cpu_ms_a_frame:.3g} of its {rate:.3g} frames a second"


def _b_frames(found: Findings) -> Iterator[str]:
    if found.live and found.b_frames:
        rate, held = found.measured_rate, found.held_back_frames
        late = f", {held / rate * 1000:.0f} ms here" if rate else ""
        yield f"B-frames hold every picture back by {held} frames{late}; switch them off at the camera"


def _clock(found: Findings) -> Iterator[str]:
    if found.clock == "host":
        yield "it tells no time: a frame is taken to be captured when it arrives"
    if found.clock_jumps:
        yield f"its time stamps jumped {times(found.clock_jumps)}"
    if found.camera_ahead_seconds is not None and abs(found.camera_ahead_seconds) > CLOCK_SECONDS:
        yield f"its clock is {clock_words(found.camera_ahead_seconds)} ours; set it by NTP"


def _picture(found: Findings) -> Iterator[str]:
    if found.resized:
        yield f"its picture changed size {times(found.resized)}: each starts a new epoch, and new tracks"
    if found.stream.interlaced:
        yield "it is interlaced: what moves has combs, which networks do not know"


def _opening(found: Findings) -> Iterator[str]:
    if found.live and found.first_frame_seconds is not None and found.first_frame_seconds > SLOW_OPEN_SECONDS:
        yield f"the first picture took {found.first_frame_seconds:.1f} s"


RULES: Final[tuple[Callable[[Findings], Iterator[str]], ...]] = (
    _undecoded,
    _damaged,
    _arrival,
    _speed,
    _opening,
    _keyframes,
    _b_frames,
    _declared_rate,
    _clock,
    _picture,
)


def times(number: int) -> str:
    """`once`, or how often."""
    return "once" if number == 1 else f"{number} times"


def clock_words(ahead_seconds: float) -> str:
    """How far a clock is off, in words: `3.2 s ahead of`."""
    off = abs(ahead_seconds)
    told = f"{off:.2f} s" if off < 120 else f"{off / 60:.1f} min" if off < 7200 else f"{off / 3600:.1f} h"
    return f"{told} {'ahead of' if ahead_seconds > 0 else 'behind'}"
