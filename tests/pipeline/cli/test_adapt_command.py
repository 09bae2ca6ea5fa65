"""`everyframe adapt`: what it asks for, says and gives back; the steps themselves are tested beside them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import workshop
from pipeline.cli.app import execute
from stages.models.adaptation.comparing import Measured
from tests.cameras.files import write_video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "gate.mp4", [np.zeros((64, 96, 3), np.uint8)] * 3)


def measured(ap50: float, *, found: int, false: dict[str, int]) -> Measured:
    return Measured(
        ap50={"person": ap50},
        ap={"person": ap50 / 2},
        objects={"person": 40},
        found={"person": found},
        false=false,
        frames=56,
    )


def fake(monkeypatch: pytest.MonkeyPatch, *, better: bool) -> dict[str, Any]:
    """Stands for the work; what it was asked for."""
    asked: dict[str, Any] = {}

    def adapt(**given: Any) -> workshop.Adapted:
        asked.update(given)
        return workshop.Adapted(
            model=Path("out/adapted.onnx") if better else None,
            tried=Path("out/tried/adapted.onnx"),
            truth="what the teacher says",
            before=measured(0.125, found=3, false={"person": 2, "car": 9}),
            after=measured(0.75 if better else 0.1, found=33, false={"person": 1}),
            milliseconds={"yolox": 20.0, "adapted": 8.5},
        )

    monkeypatch.setattr(workshop, "adapt", adapt)
    return asked


def test_a_better_network_is_told_with_the_line_that_runs_it(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake(monkeypatch, better=True)
    options = ["--teacher", "a.onnx", "--teacher", "b.onnx", "--threshold", "person=0.4", "--classes", "person,car"]
    assert execute(["adapt", str(clip), "-o", "out", *options, "--minutes", "2"]) == 0
    assert asked["teachers"] == ["a.onnx", "b.onnx"]
    assert asked["thresholds"] == {"person": 0.4}
    assert asked["classes"] == ["person", "car"]
    assert asked["footage"] == [clip]
    assert asked["minutes"] == 2.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "56 held-out frames; the truth is what the teacher says"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["person"] == ["40", "0.125", "0.750", "3", "33", "2", "1"]
    assert rows["car"] == ["0", "-", "-", "0", "0", "9", "0"]
    assert "a frame takes: yolox 20 ms, adapted 8.5 ms (medians, in turns)" in lines
    assert lines[-1] == "run it: everyframe run SOURCE --detector out/adapted.onnx"


def test_one_that_is_no_better_is_a_failure_that_says_where_the_try_is(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(monkeypatch, better=False)
    assert execute(["adapt", str(clip), "-o", "out", "--teacher", "a.onnx", "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no better" in said.err
    assert "out/tried/adapted.onnx" in said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_it_in_order_and_it_says_how_it_goes_on(
    number: signal.Signals, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def adapt(*, interrupted: Callable[[], bool], **_: Any) -> None:
        assert not interrupted()
        signal.raise_signal(number)
        if interrupted():
            raise KeyboardInterrupt

    monkeypatch.setattr(workshop, "adapt", adapt)
    assert execute(["adapt", str(clip), "-o", "out", "--teacher", "a.onnx"]) == 128 + number
    assert "the same command goes on from it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--teacher", "missing.onnx"], 1, "missing.onnx"),
        (["--teacher", "a", "--threshold", "person=2"], 2, "'person=2' is not NAME=SCORE"),
        (["--teacher", "a", "--threshold", "0.5"], 2, "'0.5' is not NAME=SCORE"),
        (["--teacher", "a", "--hold-out", "1.5"], 2, "'1.5' is no share between 0 and 0.9"),
        (["--teacher", "everyframe-nano", "--classes", "tram"], 2, "classes: 'tram' is nothing the network counts"),
        ([], 2, "--teacher"),
    ],
    ids=["no teacher file", "score too high", "no class", "share", "class", "no teacher"],
)
def test_bad_requests_are_one_line(
    options: list[str], code: int, said: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["adapt", str(clip), "-o", str(tmp_path / "out"), *options]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1


def test_footage_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["adapt", str(tmp_path / "no.mp4"), "-o", "out", "--teacher", "a.onnx"]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
