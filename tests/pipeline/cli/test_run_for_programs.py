"""`everyframe run --log-format json`, `--log-level`, `--api` and under a service manager, around a fake engine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pipeline.cli import run_engine
from pipeline.cli.app import execute
from pipeline.errors import ModelError, SourceNotFound
from pipeline.events import Event, Level
from tests.pipeline.cli.fakes import FakeEngine, statistics, status

ENDED = status(state="ENDED", expected_frames=100)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command with an engine; gives its exit code and what it printed."""

    def with_engine(engine: FakeEngine, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setitem(run_engine.ENGINES, "auto", lambda config, debug: engine)
        code = execute(["run", *(arguments or ("door=clip.mp4",))])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return with_engine


def events(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


def json_run(run: Run, engine: FakeEngine, *more: str) -> tuple[int, list[dict[str, Any]]]:
    code, out, err = run(engine, "door=clip.mp4", "--log-format", "json", *more)
    assert out == ""
    return code, events(err)


def test_a_run_in_events(run: Run) -> None:
    engine = FakeEngine(
        statistics(status(state="CONNECTING", captured=0, resulted=0, latency=None), elapsed_seconds=0.0),
        statistics(status(captured=60, resulted=58, in_flight=2), notes=("OpenVINO bf16",)),
        statistics(ENDED, notes=("OpenVINO bf16",)),
    )
    engine.events.add(Event("worker_ended", "the camera worker of door ended (SIGKILL)", Level.WARNING, "door"))
    code, told = json_run(run, engine)
    assert code == 0
    assert [event["event"] for event in told] == [
        "run_started",
        "worker_ended",
        "epoch",
        "source_state",
        "note",
        "source_state",
        "source_state",
        "source_ledger",
        "run_ended",
    ]
    assert told[0]["address"] == "tcp://127.0.0.1:5560"
    assert [event["state"] for event in told if event["event"] == "source_state"] == [
        "CONNECTING",
        "STREAMING",
        "ENDED",
    ]
    ledger = told[-2]
    assert (ledger["captured"], ledger["resulted"], ledger["balance"], ledger["source_id"]) == (100, 100, 0, "door")
    assert all(event["time"].endswith("Z") for event in told)


def test_only_what_matters_enough(run: Run) -> None:
    engine = FakeEngine(statistics(status()), statistics(ENDED))
    engine.events.add(Event("worker_ended", "it ended", Level.WARNING))
    _, told = json_run(run, engine, "--log-level", "warning")
    assert [event["event"] for event in told] == ["worker_ended"]


def test_quiet_is_no_louder_than_warnings(run: Run) -> None:
    _, told = json_run(run, FakeEngine(statistics(ENDED)), "--quiet", "--log-level", "debug")
    assert told == []


def test_failures_are_events_too(run: Run) -> None:
    engine = FakeEngine(statistics(ENDED), errors={"door": SourceNotFound("door: no such file")})
    code, told = json_run(run, engine)
    assert code == 1
    assert (told[-1]["event"], told[-1]["level"], told[-1]["message"]) == ("failed", "error", "door: no such file")


def test_what_ends_the_run_is_an_event_with_the_kind_of_error(run: Run) -> None:
    engine = FakeEngine(statistics(status(resulted=0)), at_end=ModelError("the model\nis broken"))
    code, told = json_run(run, engine)
    assert code == ModelError.exit_code
    assert (told[-1]["event"], told[-1]["message"], told[-1]["error"]) == (
        "run_failed",
        "the model; is broken",
        "ModelError",
    )


def test_a_configuration_that_cannot_run_is_an_event(run: Run) -> None:
    code, told = json_run(run, FakeEngine(), "--config", "/nowhere.yaml")
    assert (code, told[-1]["error"]) == (2, "ConfigError")


def test_no_secret_in_the_log_not_even_in_a_message_that_has_one(run: Run) -> None:
    url = "rtsp://viewer:correct-horse@192.0.2.7/stream?token=battery-staple"
    engine = FakeEngine(
        statistics(status(state="FAULTED", message=f"cannot open {url}", retry_in_seconds=1.0)),
        statistics(status()),
    )
    engine.events.add(Event("complaint", f"it said: {url}", Level.WARNING))
    _, out, err = run(engine, f"door={url}", "--log-format", "json")
    assert "correct-horse" not in out + err
    assert "battery-staple" not in out + err
    assert "password_in_arguments" in {event["event"] for event in events(err)}


def test_levels_in_text(run: Run) -> None:
    def engine() -> FakeEngine:
        return FakeEngine(statistics(ENDED), complaints=("it was slow",))

    _, out, err = run(engine(), "door=clip.mp4", "--log-level", "warning")
    assert (out, err) == ("", "everyframe: warning: it was slow\n")
    assert run(engine(), "door=clip.mp4", "--log-level", "error")[1:] == ("", "")
    assert "it was slow" in run(engine(), "door=clip.mp4", "--log-level", "info")[2]


def test_the_run_answers_while_it_goes_on_and_not_after(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    answers = []

    def ask(look: int) -> None:
        if look == 1:
            with urlopen(f"http://{where}/readyz", timeout=60) as answer:
                answers.append(json.load(answer)["ok"])

    engine = FakeEngine(statistics(status()), statistics(status()), statistics(ENDED), at_wait=ask)
    _, out, err = run(engine, "door=clip.mp4", "--api", where)
    assert answers == [True]
    assert f"http://{where}/metrics" in out
    assert err == ""
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://{where}/readyz", timeout=60)


def test_a_port_that_is_taken_stops_no_run(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = run(FakeEngine(statistics(ENDED)), "door=clip.mp4", "--api", where)
    assert code == 0
    assert f"everyframe: warning: api.bind: {where} cannot be listened on (Address already in use)" in err
    assert "100 results" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--api", "0.0.0.0:9560"), "api.bind: 0.0.0.0:9560 can be reached from other machines"),
        (("--api", "9560"), "api.bind: '9560' is not HOST:PORT"),
        (("--api", "127.0.0.1:0", "--engine", "inline"), "api.bind: the inline engine has no workers"),
    ],
)
def test_where_not_to_listen(run: Run, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = run(FakeEngine(statistics(ENDED)), "door=clip.mp4", *arguments)
    assert code == 2
    assert err.startswith(f"everyframe: {told}")


def test_none_listens_nowhere(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "c.yaml"
    settings.write_text("api: {bind: '127.0.0.1:1'}\n")
    code, out, err = run(FakeEngine(statistics(ENDED)), "door=clip.mp4", "-c", str(settings), "--api", "none")
    assert (code, err) == (0, "")
    assert "look after" not in out


def test_a_service_manager_is_told_and_its_variables_are_kept_from_the_workers(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        engine = FakeEngine(statistics(status()), statistics(ENDED))
        assert run(engine)[0] == 0
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & os.environ.keys()
        manager.settimeout(60)
        said = [manager.recv(4096).decode() for _ in range(3)]
    assert said == ["READY=1", "STATUS=1 of 1 sources streaming", "STOPPING=1\nSTATUS=stopping"]
