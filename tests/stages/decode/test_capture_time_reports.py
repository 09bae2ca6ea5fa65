"""Capture times by sender reports: what is believed and when, on simulated cameras, hours of them in seconds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decode.capture_time import NS, Stamp
from stages.decode.live_clock import LiveClock
from stages.decode.sender_reports import Belief, SenderReport

RTP = Fraction(1, 90_000)
MS = 1_000_000
HOUR = 3600 * NS
START = 1_800_000_000 * NS  # true time at which the first picture is taken, in 2027
NTSC = Fraction(30_000, 1001)
DELAYS_MS = [20, 29, 23, 50, 21, 32, 20, 45, 24, 27]  # from the camera to the reader
SSRC = 7


@dataclass
class Camera:
    """A simulated one: pictures by its own oscillator, whose rate is off by `drift_ppm`, reports by its wall clock."""

    rate: Fraction = Fraction(25)
    ahead_ns: int = 0  # of its wall clock
    drift_ppm: int = 0  # of its oscillator, which stamps the pictures; its wall clock is kept right
    first_report: int = 0  # the picture before which the first report comes
    report_every: int = 25  # pictures
    last_report: int = 10**9
    told: Callable[[int, SenderReport], list[SenderReport]] = lambda number, report: [report]

    def true_ns(self, number: int) -> int:
        """When a picture is taken."""
        return START + number * NS * self.rate.denominator // self.rate.numerator

    def pts(self, number: int) -> int:
        """What its oscillator says then."""
        ticks = number * 90_000 * self.rate.denominator * (1_000_000 + self.drift_ppm)
        return ticks // (self.rate.numerator * 1_000_000)

    def seen_by(self, clock: LiveClock, count: int) -> Iterator[Stamp]:
        """The stamps of its first pictures."""
        for number in range(count):
            arrival_ns = self.true_ns(number) + DELAYS_MS[number % 10] * MS
            since = number - self.first_report
            if since >= 0 and since % self.report_every == 0 and number <= self.last_report:
                report = SenderReport(SSRC, self.true_ns(number) + self.ahead_ns, self.pts(number))
                for said in self.told(since // self.report_every, report):
                    clock.hear(said, arrival_ns=arrival_ns)
            yield clock.stamp(self.pts(number), arrival_ns=arrival_ns)


def stamps_of(camera: Camera, count: int) -> list[Stamp]:
    return list(camera.seen_by(LiveClock(time_base=RTP, timed=True), count))


def errors_ns(camera: Camera, stamps: list[Stamp], *, first: int = 0) -> list[int]:
    """How far each is from the camera's own wall clock."""
    return [
        abs(stamp.capture_time_ns - camera.true_ns(number) - camera.ahead_ns)
        for number, stamp in enumerate(stamps[first:], start=first)
    ]


def steps_ns(stamps: list[Stamp]) -> list[int]:
    return [b.capture_time_ns - a.capture_time_ns for a, b in itertools.pairwise(stamps)]


def flagged(stamps: list[Stamp]) -> list[int]:
    return [number for number, stamp in enumerate(stamps) if stamp.discontinuity]


@pytest.mark.parametrize("ahead_seconds", [0, 3, -3, 9])
def test_a_report_before_the_first_picture_gives_every_picture_the_cameras_time(ahead_seconds: int) -> None:
    camera = Camera(ahead_ns=ahead_seconds * NS)
    stamps = stamps_of(camera, 250)
    assert {stamp.clock for stamp in stamps} == {"rtcp"}
    assert flagged(stamps) == []
    assert max(errors_ns(camera, stamps)) < 20_000  # one tick of RTP time is 11 µs


def test_a_first_picture_without_a_time_stamp_has_the_reported_time_too() -> None:
    clock = LiveClock(time_base=RTP, timed=True)
    for pts in (None, 3600):
        at = 0 if pts is None else 40 * MS
        clock.hear(SenderReport(SSRC, START + at, pts), arrival_ns=START + at + 30 * MS)
        stamp = clock.stamp(pts, arrival_ns=START + at + 30 * MS)
        assert stamp == (START + at, "rtcp", False, False)


def test_before_the_first_report_the_clock_is_pts_and_the_change_is_smooth_and_flagged() -> None:
    camera = Camera(first_report=100)
    stamps = stamps_of(camera, 300)
    change = next(number for number, stamp in enumerate(stamps) if stamp.clock == "rtcp")
    assert 100 <= change < 105
    assert [stamp.clock for stamp in stamps] == ["pts"] * change + ["rtcp"] * (300 - change)
    assert flagged(stamps) == [change]
    assert all(20 * MS <= step <= 60 * MS for step in steps_ns(stamps))
    assert max(errors_ns(camera, stamps, first=change)) < 20_000


@pytest.mark.parametrize("ahead_seconds", [11, 3600])
def test_a_clock_far_ahead_needs_three_reports_and_is_then_jumped_to(ahead_seconds: int) -> None:
    camera = Camera(ahead_ns=ahead_seconds * NS)
    stamps = stamps_of(camera, 200)
    assert [stamp.clock for stamp in stamps] == ["pts"] * 50 + ["rtcp"] * 150
    assert flagged(stamps) == [50]
    assert not any(stamp.renews for stamp in stamps)
    assert max(errors_ns(camera, stamps, first=50)) < 20_000


@pytest.mark.parametrize("ahead_seconds", [-11, -3600, -86_000])
def test_a_clock_far_behind_starts_an_epoch_since_time_does_not_go_back(ahead_seconds: int) -> None:
    camera = Camera(ahead_ns=ahead_seconds * NS)
    stamps = stamps_of(camera, 200)
    assert [stamp.clock for stamp in stamps] == ["pts"] * 50 + ["rtcp"] * 150
    assert [number for number, stamp in enumerate(stamps) if stamp.renews] == [50]
    assert flagged(stamps) == [50]
    assert max(errors_ns(camera, stamps, first=50)) < 20_000


@pytest.mark.parametrize("year", [1900, 1970, 2000, 2016, 2060])
def test_a_clock_that_was_never_set_is_never_believed(year: int) -> None:
    since_1970 = (year - 1970) * 31_556_952 * NS
    camera = Camera(ahead_ns=since_1970 - START)
    stamps = stamps_of(camera, 500)
    assert stamps == stamps_of(Camera(first_report=10**9), 500)
    assert {stamp.clock for stamp in stamps} == {"pts"}


def odd(seconds: int = 0, *, ssrc: int = SSRC) -> Callable[[int, SenderReport], list[SenderReport]]:
    """Every third report from the second on is odd."""

    def told(number: int, report: SenderReport) -> list[SenderReport]:
        if number % 3 != 1:
            return [report]
        return [SenderReport(ssrc, report.camera_ns + seconds * NS, report.pts)]

    return told


@pytest.mark.parametrize(
    "told",
    [odd(5 * 3600), odd(-5 * 3600), odd(-2), odd(2), odd(1234, ssrc=8), odd(-60 * 31_556_952)],
    ids=["hours ahead", "hours back", "2 s back", "2 s ahead", "another stream's", "1967"],
)
def test_an_odd_report_among_good_ones_changes_nothing(told: Callable[[int, SenderReport], list[SenderReport]]) -> None:
    camera = Camera(told=told)
    stamps = stamps_of(camera, 1000)
    assert {stamp.clock for stamp in stamps} == {"rtcp"}
    assert flagged(stamps) == []
    assert max(errors_ns(camera, stamps)) < 20_000


def test_reports_of_two_streams_in_turn_are_told_apart() -> None:
    def told(number: int, report: SenderReport) -> list[SenderReport]:
        return [SenderReport(8, report.camera_ns + 9000 * NS, report.pts), report]

    stamps = stamps_of(Camera(told=told), 500)
    assert {stamp.clock for stamp in stamps} == {"rtcp"}
    assert max(errors_ns(Camera(), stamps)) < 20_000


def test_a_camera_that_changes_its_ssrc_and_keeps_its_clock_is_believed_on() -> None:
    camera = Camera(told=lambda number, report: [SenderReport(number, report.camera_ns, report.pts)])
    assert {stamp.clock for stamp in stamps_of(camera, 200)} == {"rtcp"}


@pytest.mark.parametrize("seconds", [1, 3600])
def test_a_clock_set_forward_is_followed_after_three_reports(seconds: int) -> None:
    def told(number: int, report: SenderReport) -> list[SenderReport]:
        return [SenderReport(SSRC, report.camera_ns + (number >= 4) * seconds * NS, report.pts)]

    stamps = stamps_of(Camera(told=told), 600)
    assert max(errors_ns(Camera(), stamps[:150])) < 20_000
    assert max(errors_ns(Camera(ahead_ns=seconds * NS), stamps, first=250)) < 20_000
    assert stamps[-1].clock == "rtcp"
    if seconds == 1:  # made up for smoothly; meanwhile the clock is `pts`
        assert all(20 * MS <= step <= 60 * MS for step in steps_ns(stamps))
        assert [stamps[number].clock for number in flagged(stamps)] == ["pts", "rtcp"]
    else:
        assert flagged(stamps) == [150]
    assert not any(stamp.renews for stamp in stamps)


def test_a_clock_that_swings_starts_at_most_one_epoch_a_minute() -> None:
    def told(number: int, report: SenderReport) -> list[SenderReport]:
        return [SenderReport(SSRC, report.camera_ns - (number // 4 % 2) * HOUR, report.pts)]

    stamps = stamps_of(Camera(told=told), 25 * 300)
    renewed = [number for number, stamp in enumerate(stamps) if stamp.renews]
    assert 2 <= len(renewed) <= 5
    assert all(after - before >= 25 * 60 for before, after in itertools.pairwise(renewed))
    assert_time_goes_on(stamps)


def assert_time_goes_on(stamps: list[Stamp]) -> None:
    for before, after in itertools.pairwise(stamps):
        assert after.renews or after.capture_time_ns > before.capture_time_ns
        assert after.discontinuity or (after.clock == before.clock and not after.renews)


def test_reports_that_cease_hold_for_five_minutes_and_the_cameras_time_goes_on_by_pts() -> None:
    camera = Camera(ahead_ns=7 * NS, last_report=1000)
    stamps = stamps_of(camera, 25 * 900)
    change = next(number for number, stamp in enumerate(stamps) if stamp.clock == "pts")
    assert change == pytest.approx(1000 + 25 * 300, abs=25)
    assert flagged(stamps) == [change]
    assert all(20 * MS <= step <= 60 * MS for step in steps_ns(stamps))
    assert max(errors_ns(camera, stamps)) < 40 * MS


def test_a_jump_of_the_time_stamps_is_flagged_and_the_next_report_believed() -> None:
    clock = LiveClock(time_base=RTP, timed=True)
    stamps = []
    for number in range(200):
        true_ns = START + 40 * MS * number
        pts = 3600 * number + (2**31 if number >= 60 else 0)
        if number % 25 == 0:
            clock.hear(SenderReport(SSRC, true_ns + 5 * NS, pts), arrival_ns=true_ns + 30 * MS)
        stamps.append(clock.stamp(pts, arrival_ns=true_ns + 30 * MS))
    assert [stamp.clock for stamp in stamps[50:80]] == ["rtcp"] * 10 + ["pts"] * 15 + ["rtcp"] * 5
    assert flagged(stamps) == [60, 75]
    assert max(abs(s.capture_time_ns - START - 5 * NS - 40 * MS * i) for i, s in enumerate(stamps)) < 20_000


@pytest.mark.parametrize("drift_ppm", [-200, 200])
@pytest.mark.parametrize("reported", [True, False])
def test_an_hour_at_29_97_stays_within_a_frame(drift_ppm: int, reported: bool) -> None:
    """The camera's oscillator is off by up to 0.7 s an hour, and nothing adds up."""
    camera = Camera(rate=NTSC, drift_ppm=drift_ppm, report_every=150, first_report=0 if reported else 10**9)
    count = 3600 * 30_000 // 1001
    stamps = stamps_of(camera, count)
    assert flagged(stamps) == []
    assert {stamp.clock for stamp in stamps} == {"rtcp" if reported else "pts"}
    errors = errors_ns(camera, stamps)
    assert max(errors) < (2 * MS if reported else 33 * MS)
    assert abs(stamps[-1].capture_time_ns - stamps[0].capture_time_ns - (count - 1) * NS / NTSC) < 33 * MS


def test_without_drift_the_reported_time_of_29_97_is_exact_to_a_tick() -> None:
    stamps = stamps_of(Camera(rate=NTSC, report_every=30_000), 30_001)
    assert stamps[30_000].capture_time_ns - stamps[0].capture_time_ns == 1001 * NS


@pytest.mark.parametrize("true_seconds", [2_085_978_490, 2_085_978_500, 2_300_000_000])
def test_ntp_time_that_begins_again_in_2036_is_the_era_of_this_machines_clock(true_seconds: int) -> None:
    belief = Belief()
    ntp_seconds = (true_seconds + 2_208_988_800) % 2**32
    told_ns = (ntp_seconds - 2_208_988_800) * NS  # as FFmpeg has it
    belief.hear(SSRC, camera_ns=told_ns, pts_ns=0, arrival_ns=true_seconds * NS)
    assert belief.offset_ns(true_seconds * NS) == true_seconds * NS


any_report = st.builds(SenderReport, st.integers(0, 2), st.integers(-(2**62), 2**62), st.integers(-(2**40), 2**40))
near_report = st.builds(SenderReport, st.just(1), st.integers(START - 2 * HOUR, START + 2 * HOUR), st.integers(0, 900))
any_frame = st.tuples(
    st.none() | any_report | near_report,
    st.none() | st.integers(-(2**40), 2**40) | st.integers(0, 10**7),
    st.integers(0, 2**60) | st.integers(START, START + HOUR),
)


@given(frames=st.lists(any_frame, max_size=60))
def test_time_goes_on_whatever_is_reported(frames: list[tuple[SenderReport | None, int | None, int]]) -> None:
    clock = LiveClock(time_base=RTP, timed=True)
    stamps = []
    for report, pts, arrival_ns in frames:
        if report is not None:
            clock.hear(report, arrival_ns=arrival_ns)
        stamps.append(clock.stamp(pts, arrival_ns=arrival_ns))
    assert_time_goes_on(stamps)
