"""Capture times: strictly increasing whatever comes, exact rates, jumps flagged, drift and bursts followed."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decode.capture_time import NS, RecordingClock, Stamp, recording_start_ns
from stages.decode.live_clock import LiveClock

RTP = Fraction(1, 90_000)
MS = 1_000_000

time_bases = st.sampled_from([Fraction(1, 90_000), Fraction(1, 25), Fraction(1001, 30_000), Fraction(1, NS)])
any_pts = st.one_of(st.none(), st.integers(min_value=-(2**40), max_value=2**40))


def steps_ns(stamps: list[Stamp]) -> list[int]:
    return [b.capture_time_ns - a.capture_time_ns for a, b in itertools.pairwise(stamps)]


@given(time_base=time_bases, pts=st.lists(any_pts, max_size=50))
def test_recording_time_always_increases(time_base: Fraction, pts: list[int | None]) -> None:
    clock = RecordingClock(start_ns=0, time_base=time_base, rate=None)
    assert all(step > 0 for step in steps_ns([clock.stamp(value) for value in pts]))


@given(time_base=time_bases, frames=st.lists(st.tuples(any_pts, st.integers(0, 2**60)), max_size=50))
def test_live_time_always_increases(time_base: Fraction, frames: list[tuple[int | None, int]]) -> None:
    clock = LiveClock(time_base=time_base)
    stamps = [clock.stamp(pts, arrival_ns=arrival) for pts, arrival in frames]
    assert all(step > 0 for step in steps_ns(stamps))
    assert [stamp.clock for stamp in stamps] == ["host" if pts is None else "pts" for pts, _ in frames]


@given(frames=st.lists(st.tuples(any_pts, st.integers(0, 2**60)), max_size=50))
def test_the_same_input_gives_the_same_times(frames: list[tuple[int | None, int]]) -> None:
    one, other = LiveClock(time_base=RTP), LiveClock(time_base=RTP)
    assert [one.stamp(p, arrival_ns=a) for p, a in frames] == [other.stamp(p, arrival_ns=a) for p, a in frames]


def test_recording_time_is_start_plus_pts_from_the_first() -> None:
    clock = RecordingClock(start_ns=7 * NS, time_base=RTP, rate=Fraction(25))
    stamps = [clock.stamp(pts) for pts in (126_000, 129_600, 200_000)]
    assert [s.capture_time_ns - 7 * NS for s in stamps] == [0, 40 * MS, 74_000 * NS // 90_000]
    assert not any(stamp.discontinuity for stamp in stamps)


def test_a_recording_without_pts_keeps_29_97_exactly() -> None:
    clock = RecordingClock(start_ns=0, time_base=RTP, rate=Fraction(30_000, 1001))
    stamps = [clock.stamp(None) for _ in range(30_001)]
    assert stamps[-1].capture_time_ns == 1001 * NS  # 30000 frames are 1001 seconds, to the nanosecond
    assert stamps[1].capture_time_ns == 1001 * NS // 30_000


def test_a_recording_without_pts_or_rate_counts_25_a_second() -> None:
    clock = RecordingClock(start_ns=0, time_base=RTP, rate=None)
    assert [clock.stamp(None).capture_time_ns for _ in range(3)] == [0, 40 * MS, 80 * MS]


def test_pts_that_goes_back_is_flagged_once_and_time_goes_on_one_interval_later() -> None:
    clock = RecordingClock(start_ns=0, time_base=Fraction(1, 25), rate=Fraction(25))
    stamps = [clock.stamp(pts) for pts in (0, 1, 2, 0, 1)]
    assert [stamp.discontinuity for stamp in stamps] == [False, False, False, True, False]
    assert steps_ns(stamps) == [40 * MS] * 4


def test_live_time_follows_pts_not_the_jitter_of_arrival() -> None:
    clock = LiveClock(time_base=RTP)
    late = [0, 9, 3, 30, 1, 12, 0, 25, 4, 7] * 10  # ms
    stamps = [clock.stamp(3600 * i, arrival_ns=NS + (40 * i + delay) * MS) for i, delay in enumerate(late)]
    assert all(abs(step - 40 * MS) < 1 * MS for step in steps_ns(stamps))
    assert stamps[-1].capture_time_ns - (NS + 40 * 99 * MS) < 2 * MS


def test_a_camera_whose_clock_is_slow_or_fast_is_followed() -> None:
    for drift in (1.001, 0.999):
        clock = LiveClock(time_base=RTP)
        for i in range(25 * 300):  # five minutes
            arrival = NS + int(40 * MS * i * drift)
            stamp = clock.stamp(3600 * i, arrival_ns=arrival)
        assert abs(stamp.capture_time_ns - arrival) < 30 * MS
        assert not stamp.discontinuity


def test_a_burst_of_old_frames_keeps_its_rhythm_and_is_caught_up_with() -> None:
    clock = LiveClock(time_base=RTP)
    arrivals = [2 * NS] * 50 + [2 * NS + 40 * i * MS for i in range(1, 200)]  # two seconds at once, then live
    stamps = [clock.stamp(3600 * i, arrival_ns=arrival) for i, arrival in enumerate(arrivals)]
    assert all(20 * MS <= step <= 60 * MS for step in steps_ns(stamps))
    assert abs(stamps[-1].capture_time_ns - arrivals[-1]) < 5 * MS
    assert not any(stamp.discontinuity for stamp in stamps)


def test_frames_that_come_late_after_a_stall_keep_the_time_they_were_taken_at() -> None:
    clock = LiveClock(time_base=RTP)
    arrivals = [40 * i * MS for i in range(100)] + [10 * NS] * 150 + [40 * i * MS for i in range(250, 300)]
    stamps = [clock.stamp(3600 * i, arrival_ns=arrival) for i, arrival in enumerate(arrivals)]
    assert not any(stamp.discontinuity for stamp in stamps)
    assert max(abs(stamp.capture_time_ns - 40 * i * MS) for i, stamp in enumerate(stamps)) < 5 * MS


@pytest.mark.parametrize("jump_seconds", [-5.0, 3.0, 40_000.0])
def test_a_jump_of_pts_is_flagged_once_and_anchored_at_the_arrival(jump_seconds: float) -> None:
    clock = LiveClock(time_base=RTP)
    stamps = []
    for i in range(50):
        pts = 3600 * i + (int(jump_seconds * 90_000) if i >= 25 else 0)
        stamps.append(clock.stamp(pts, arrival_ns=NS + 40 * i * MS))
    assert [i for i, stamp in enumerate(stamps) if stamp.discontinuity] == [25]
    assert steps_ns(stamps) == [40 * MS] * 49


def test_a_change_of_clock_is_flagged() -> None:
    clock = LiveClock(time_base=RTP)
    stamps = [clock.stamp(pts, arrival_ns=NS + 40 * i * MS) for i, pts in enumerate([None, None, 0, 3600, None])]
    assert [stamp.clock for stamp in stamps] == ["host", "host", "pts", "pts", "host"]
    assert [stamp.discontinuity for stamp in stamps] == [False, False, True, False, True]


def test_a_first_frame_that_lacks_its_pts_is_no_change_of_clock_where_others_follow() -> None:
    clock = LiveClock(time_base=RTP, timed=True)
    stamps = [clock.stamp(pts, arrival_ns=NS + 40 * i * MS) for i, pts in enumerate([None, 3600, 7200, None])]
    assert [stamp.clock for stamp in stamps] == ["pts", "pts", "pts", "host"]
    assert [stamp.discontinuity for stamp in stamps] == [False, False, False, True]
    assert steps_ns(stamps) == [40 * MS] * 3


@pytest.mark.parametrize(
    ("creation_time", "seconds"),
    [
        ("2018-04-19T22:46:00.000000Z", 1_524_177_960),
        ("2018-04-20T00:46:00+02:00", 1_524_177_960),
        ("2018-04-19 22:46:00", 1_524_177_960),
        ("1904-01-01T00:00:00.000000Z", 0),
        ("1970-01-01T00:00:05.000000Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_a_recording_starts_when_its_container_says_and_else_in_1970(creation_time: str, seconds: int) -> None:
    assert recording_start_ns({"creation_time": creation_time}) == seconds * NS
    assert recording_start_ns({}) == 0
