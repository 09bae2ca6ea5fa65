"""The log as programs read it: one object a line, nothing too often, nothing secret."""

from __future__ import annotations

import io
import json
from datetime import datetime

import pytest

from pipeline.changes import Changes
from pipeline.events import Event, Level
from pipeline.logs import JsonLog, Repeats, rfc3339
from tests.pipeline.cli.fakes import statistics, status


def logged(*events: Event, level: Level = Level.INFO) -> list[dict[str, object]]:
    stream = io.StringIO()
    log = JsonLog(stream, level=level, clean=lambda text: text.replace("hunter2", "***"))
    for event in events:
        log.write(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_an_object_in_one_line_with_the_common_names_first() -> None:
    stream = io.StringIO()
    event = Event(
        "worker_ended", "it\nended \u2713", Level.WARNING, "door", {"starts": 2}, time_ns=1_700_000_000_123_456_789
    )
    JsonLog(stream).write(event)
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123456Z",
        "level": "warning",
        "event": "worker_ended",
        "source_id": "door",
        "message": "it\nended \u2713",
        "starts": 2,
    }
    assert list(json.loads(line)) == ["time", "level", "event", "source_id", "message", "starts"]


def test_details_never_take_a_common_name() -> None:
    (told,) = logged(Event("a", "b", details={"event": "forged", "level": "none", "more": 1}))
    assert (told["event"], told["level"], told["more"]) == ("a", "info", 1)
    assert "source_id" not in told


@pytest.mark.parametrize(("level", "count"), [(Level.DEBUG, 4), (Level.INFO, 3), (Level.WARNING, 2), (Level.ERROR, 1)])
def test_only_what_matters_enough_is_told(level: Level, count: int) -> None:
    assert len(logged(*(Event("a", "b", each) for each in Level), level=level)) == count


def test_a_secret_that_got_into_a_message_is_taken_out_and_a_message_has_an_end() -> None:
    (told,) = logged(Event("a", "password hunter2 " + "x" * 100_000))
    message = str(told["message"])
    assert message.startswith("password *** x")
    assert len(message) <= 8_000


def test_a_stream_that_is_closed_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    JsonLog(stream).write(Event("a", "b"))
    assert stream.closed


@pytest.mark.parametrize("time_ns", [0, 999, 1_000_000_000, 1_234_567_890_999_999_999, 4_102_444_800_000_000_000])
def test_times_are_rfc_3339_in_utc(time_ns: int) -> None:
    text = rfc3339(time_ns)
    assert text.endswith("Z")
    assert abs(datetime.fromisoformat(text).timestamp() - time_ns / 1e9) < 2e-6


def test_what_repeats_is_held_back_and_its_last_told_with_the_count() -> None:
    now = [0.0]
    repeats = Repeats(burst=3, window_seconds=60.0, now_seconds=lambda: now[0])
    flapping = [Event("source_state", f"{i}", source_id="door") for i in range(100)]
    assert [event.message for event in repeats.passed(flapping)] == ["0", "1", "2"]
    other = Event("source_state", "other", source_id="yard")
    assert list(repeats.passed([other])) == [other]
    now[0] = 59.0
    assert list(repeats.passed([])) == []
    now[0] = 60.0
    (last,) = repeats.passed([])
    assert (last.message, last.details["held_back"]) == ("99", 97)
    assert [event.message for event in repeats.passed(flapping)] == ["0", "1", "2"]
    assert [event.message for event in repeats.rest()] == ["99"]
    assert list(repeats.rest()) == []


def test_of_many_kinds_the_oldest_are_forgotten_but_what_they_held_is_told() -> None:
    repeats = Repeats(burst=1, now_seconds=lambda: 0.0)
    held = [Event("e", "first", source_id="s"), Event("e", "second", source_id="s")]
    assert [event.message for event in repeats.passed(held)] == ["first"]
    told = [event.message for event in repeats.passed(Event("note", f"n{i}") for i in range(10_000))]
    assert "second" in told
    assert len(told) == 10_001
    assert len(repeats._windows) < 5_000


def names(changes: Changes, *sources: object, notes: tuple[str, ...] = ()) -> list[str]:
    return [event.name for event in changes.since(statistics(*sources, notes=notes))]  # type: ignore[arg-type]


def test_changes_are_told_once() -> None:
    changes = Changes()
    assert names(changes, status(), notes=("a note",)) == ["note", "epoch", "source_state"]
    assert names(changes, status(captured=200, resulted=200), notes=("a note",)) == []
    (faulted,) = changes.since(statistics(status(state="FAULTED", message="door: gone", retry_in_seconds=2.04)))
    assert (faulted.level, faulted.message, faulted.source_id) == (Level.WARNING, "gone", "door")
    assert faulted.details == {"state": "FAULTED", "from": "STREAMING", "epoch": 1, "retry_in_seconds": 2.0}
    (epoch, _) = changes.since(statistics(status(epoch=2, reconnects=1)))
    assert (epoch.name, epoch.details) == ("epoch", {"epoch": 2, "reconnects": 1})


def test_a_source_that_leaves_and_comes_again_is_told_anew() -> None:
    changes = Changes()
    assert names(changes, status()) == ["epoch", "source_state"]
    assert names(changes) == ["source_left"]
    assert names(changes) == []
    assert names(changes, status()) == ["epoch", "source_state"]


def test_a_ledger_that_was_found_out_of_balance_is_told_each_time() -> None:
    changes = Changes()
    names(changes, status())
    (violation,) = changes.since(statistics(status(captured=101, ledger_violations=1)))
    assert (violation.name, violation.level, violation.source_id) == ("ledger_violation", Level.ERROR, "door")
    assert (violation.details["balance"], violation.details["violations"]) == (1, 1)
    assert names(changes, status(captured=101, ledger_violations=1)) == []
    assert names(changes, status(ledger_violations=2)) == ["ledger_violation"]
