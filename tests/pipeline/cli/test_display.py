import io

import pytest
from rich.console import Console

from pipeline.cli.display import Lines, opening
from pipeline.cli.live_table import LiveTable
from pipeline.cli.meter import Meter
from pipeline.config import check, parse
from pipeline.events import Event, Level
from tests.pipeline.cli.fakes import statistics, status


def drawn(*instants, width=120):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with LiveTable(console, ["opening"]) as table:
        for number, instant in enumerate(instants):
            table.update(instant, [] if number else [Event("complaint", "something broke", Level.WARNING)])
        table._live.refresh()
        return console.file.getvalue()


def test_a_row_for_each_source_with_what_it_is_doing():
    text = drawn(
        statistics(
            status("crossing", resulted=50, expected_frames=250),
            status("yard", dropped={"late": 4}, captured=104),
            status("gate", state="UNAUTHORIZED", message="refused the password", retry_in_seconds=41.7, latency=None),
            notes=("OpenVINO bf16",),
        )
    )
    rows = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "50/250" in rows["crossing"]
    assert "━" in rows["crossing"]
    assert "1280x720 h264 25 fps" in rows["yard"]
    assert "unauthorized" in rows["gate"]
    assert "refused the password (next try in 42 s)" in rows["gate"]
    assert "opening" in text
    assert "OpenVINO bf16" in text
    assert "warning: something broke" in text


def test_what_repeats_is_told_ten_times_and_counted(capsys):
    with Lines([]) as lines:
        for number in range(5_000):
            broken = Event("worker_ended", f"it ended {number}", Level.WARNING, "door")
            lines.update(statistics(status()), [broken, Event("worker_ready", "it is ready")])
    told = capsys.readouterr().err.splitlines()
    assert told[:10] == [f"everyframe: warning: it ended {number}" for number in range(10)]
    assert told[10:] == ["everyframe: warning: it ended 4999 (and 4989 more like it)"]


def test_new_notes_and_complaints_are_told_once():
    one = statistics(status(), notes=("a note",))
    text = drawn(one, one, one)
    assert text.count("a note") == 1
    assert text.count("something broke") == 1


def test_a_run_that_has_not_begun_can_be_drawn():
    text = drawn(statistics(elapsed_seconds=0.0), statistics(status(latency=None, frame_rate=0.0, width=0)), width=30)
    assert "stre" in text  # the columns are cut, and the state still stands


def test_lines_are_told_now_and_then(capsys):
    with Lines(["opening"], every_seconds=10.0) as lines:
        for second in range(41):
            done = status(resulted=25 * second, captured=25 * second, expected_frames=1000)
            lines.update(statistics(done, elapsed_seconds=float(second)))
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["opening", "door: streaming"]
    assert told[2:] == [f"door: {n} of 1000 frames, 25.0 frames/s" for n in (250, 500, 750, 1000)]


def test_a_state_is_told_when_it_changes(capsys):
    with Lines([]) as lines:
        for state, message, retry in (
            ("CONNECTING", "", None),
            ("CONNECTING", "", None),
            ("FAULTED", "nobody answers", 2.0),
            ("FAULTED", "nobody answers", 1.0),
            ("CONNECTING", "", None),
            ("FAULTED", "nobody answers", 4.0),
            ("STREAMING", "", None),
        ):
            lines.update(statistics(status(state=state, message=message, retry_in_seconds=retry)))
    assert capsys.readouterr().out.splitlines() == [
        "door: connecting",
        "door: faulted: nobody answers; next try in 2 s",
        "door: streaming",
    ]


def test_the_meter_measures_the_last_seconds():
    meter = Meter(window_seconds=3.0)
    assert meter.rate("door") == 0.0
    for tenth in range(200):
        results = tenth if tenth < 100 else 100 + (tenth - 100) * 5
        meter.update(statistics(status(resulted=results), elapsed_seconds=tenth / 10))
        if tenth == 90:
            assert meter.rate("door") == pytest.approx(10.0)
    assert meter.rate("door") == pytest.approx(50.0)
    assert meter.rate("nobody") == 0.0


def test_the_meter_survives_a_clock_that_stands():
    meter = Meter()
    meter.update(statistics(status(), elapsed_seconds=0.0))
    meter.update(statistics(status(), elapsed_seconds=0.0))
    assert meter.rate("door") == 0.0


def test_the_opening_names_models_and_not_all_of_many_sources():
    config = check(
        parse({"sources": [f"s{i}=a{i}.mp4" for i in range(20)], "detector": "d.onnx", "segmenter": "s.onnx"})
    )
    first, second = opening(config, "tcp://127.0.0.1:7000")
    assert first == "s0, s1, s2, s3, s4, s5, s6, s7 and 12 more with d.onnx and s.onnx"
    assert second == "subscribe:  everyframe watch tcp://127.0.0.1:7000 --topic s0/tracks"
