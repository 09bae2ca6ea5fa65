"""The rules of the verdict, one by one, and what the screen says."""

import pytest

from pipeline.cli.probe_report import report_of
from pipeline.cli.probe_run import Outcome
from pipeline.cli.probe_screen import rows_of, verdict_text
from pipeline.cli.probe_verdict import clock_words, verdict_on
from pipeline.config import SourceConfig
from pipeline.errors import SourceUnreachable
from tests.pipeline.cli.findings import WELL, found, keyframes, stream


def test_a_camera_that_is_well_is_usable_and_no_more_is_said():
    verdict = verdict_on(Outcome(WELL, None))
    assert (verdict.word, verdict.reasons, verdict.usable) == ("usable", (), True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"undecoded": 3}, "3 packets gave no picture"),
        ({"damaged": 1}, "1 picture has parts that the decoder had to guess"),
        ({"damaged": 3}, "3 pictures have parts that the decoder had to guess"),
        ({"arrival_rate": 12.0}, "frames arrived at 12 a second instead of 25"),
        ({"cpu_ms_a_frame": 80.0}, "a core of this machine decodes 12.5 of its 25 frames a second"),
        ({"first_frame_seconds": 7.0}, "the first picture took 7.0 s"),
        ({"keyframes": keyframes(longest_seconds=8.0)}, "8.0 s passed between keyframes"),
        (
            {"keyframes": keyframes(count=1, interval_frames=None, interval_seconds=None, longest_seconds=5.0)},
            "no second keyframe came in 5.0 s",
        ),
        ({"b_frames": True, "held_back_frames": 2}, "B-frames hold every picture back by 2 frames, 80 ms here"),
        ({"stream": stream(declared_rate=30.0)}, "it declares 30 frames a second, and 25 were measured"),
        ({"clock": "host"}, "it tells no time"),
        ({"clock_jumps": 2}, "its time stamps jumped 2 times"),
        ({"clock": "rtcp", "camera_ahead_seconds": -7200.0}, "its clock is 2.0 h behind ours; set it by NTP"),
        ({"resized": 1}, "its picture changed size once"),
        ({"stream": stream(interlaced=True)}, "it is interlaced"),
    ],
)
def test_what_is_to_be_known_of_a_camera_that_can_be_used(changes, told):
    verdict = verdict_on(Outcome(found(**changes), None))
    assert (verdict.word, verdict.usable, len(verdict.reasons)) == ("usable, but", True, 1)
    assert verdict.reasons[0].startswith(told)


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": stream(declared_rate=None)},
        {"stream": stream(declared_rate=27.0)},
        {"measured_rate": None, "arrival_rate": None},
        {"clock": "rtcp", "camera_ahead_seconds": -0.3},
        {"keyframes": keyframes(longest_seconds=4.9)},
        {"live": False, "b_frames": True, "keyframes": keyframes(longest_seconds=60.0), "clock": "recording"},
        {"cpu_ms_a_frame": None},
    ],
)
def test_what_is_nothing_to_speak_of(changes):
    assert verdict_on(Outcome(found(**changes), None)).word == "usable"


def test_an_error_is_the_verdict_whatever_was_found_before():
    error = SourceUnreachable("it hung up")
    for findings in (None, WELL):
        verdict = verdict_on(Outcome(findings, error))
        assert (verdict.word, verdict.reasons, verdict.usable) == ("not usable", ("it hung up",), False)


def test_no_frame_is_not_usable_without_an_error_too():
    assert verdict_on(Outcome(found(frames=0), None)).word == "not usable"
    assert verdict_on(Outcome(None, None)).word == "not usable"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(0.25, "0.25 s ahead of"), (-90.0, "90.00 s behind"), (600.0, "10.0 min ahead of"), (-86_400.0, "24.0 h behind")],
)
def test_how_far_a_clock_is_off(ahead, words):
    assert clock_words(ahead) == words


def test_a_report_names_the_source_once_and_without_its_password():
    source = SourceConfig(url="rtsp://viewer:canary7hunter2@host/a", source_id="door")
    error = SourceUnreachable(f"door: {source.shown} refused the connection")
    report = report_of(source, Outcome(None, error))
    assert report.source == "rtsp://***@host/a"
    assert report.reasons == ("rtsp://***@host/a refused the connection",)
    assert (report.error, report.usable, report.found, report.nvdec) == ("SourceUnreachable", False, None, None)


def test_nvdec_is_said_to_be_untried_and_why(tmp_path):
    source = SourceConfig(url="a.mp4")
    told = report_of(source, Outcome(WELL, None), gpus=tmp_path / "none").nvdec
    assert told == "should decode it, by NVIDIA's table; not tried: no NVIDIA GPU here"
    (tmp_path / "0000:01:00.0").mkdir()
    refused = found(stream=stream(nvdec_refuses="of h264 it takes 8 bits a sample, not 10"))
    told = report_of(source, Outcome(refused, None), gpus=tmp_path).nvdec
    assert told == (
        "cannot decode it: of h264 it takes 8 bits a sample, not 10; not tried: this version decodes on the CPU"
    )


def test_every_row_of_the_screen_is_said_in_every_case():
    cases = [
        WELL,
        found(frames=0, measured_rate=None, first_frame_seconds=None, clock=None, bit_rate=None, cpu_ms_a_frame=None),
        found(stream=stream(profile=None, pixel_format=None, bits=None, chroma=None, declared_rate=None)),
        found(keyframes=keyframes(count=0, interval_frames=None, interval_seconds=None, longest_seconds=None)),
        found(clock="rtcp", camera_ahead_seconds=-0.2),
    ]
    for case in cases:
        rows = dict(rows_of(case, nvdec="should decode it"))
        assert len(rows) == 10
        assert all(rows.values())
        assert not any("None" in text for text in rows.values())


def test_rows_in_words():
    rows = dict(rows_of(WELL, nvdec=""))
    assert rows["what"] == "camera: rtsp, h264 (High), 1280x720, yuv420p (4:2:0, 8 bit)"
    assert rows["frame rate"] == "25 measured, 25 declared, 24.9 arrived"
    assert rows["decodes"] == "yes, by FFmpeg's h264 on the CPU; 3.0 ms of a core a frame, 8 % of a core"
    assert rows["keyframes"] == "every 1 s, 25 frames (4 seen)"
    assert rows["bit rate"] == "2 Mbit/s"


def test_several_reasons_are_listed_one_follows_the_word():
    source = SourceConfig(url="rtsp://host/a")
    one = report_of(source, Outcome(found(undecoded=1), None))
    two = report_of(source, Outcome(found(undecoded=1, clock="host"), None))
    assert verdict_text(one).plain.startswith("usable, but: 1 packet gave no picture")
    assert verdict_text(two).plain.startswith("usable, but:\n  - 1 packet gave no picture")
