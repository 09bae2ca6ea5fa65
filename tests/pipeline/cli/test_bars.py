"""What long work shows: bars on a terminal, else a line now and then, and every name as it is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli.bars import SECONDS_BETWEEN_LINES, Bars, Lines, bars
from pipeline.cli.train_screen import Drawn

ODD = "[/red] [b]street.mp4"  # in Rich's markup an end without a beginning, and a style


def terminal() -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=True, width=120, color_system=None, highlight=False), written


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    told: list[str] = []
    now = [0.0]
    lines = Lines(told.append, now=lambda: now[0])
    for done in range(1, 5):
        lines("pictures", done, 4)
        now[0] += SECONDS_BETWEEN_LINES / 2
    assert told == ["pictures: 3 of 4"]


def test_a_name_is_shown_as_it_is_on_a_terminal() -> None:
    console, written = terminal()
    with Bars(console) as shown:
        shown(ODD, 1, 4, words=ODD)
        shown.print(ODD)
    assert f"{ODD} " in written.getvalue()
    assert f"1 of 4  {ODD}" in written.getvalue()
    assert f"{ODD}\n" in written.getvalue()


def test_a_name_is_told_as_it_is_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.cli.bars.SECONDS_BETWEEN_LINES", 0.0)
    long = f"{ODD} {'x' * 200}"
    with bars(quiet=False) as tell:
        tell(long, 1, 4)
    assert capsys.readouterr().err == f"{long}: 1 of 4\n"


def test_who_wants_quiet_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(quiet=True) as tell:
        tell("pictures", 1, 4)
    assert capsys.readouterr() == ("", "")


def test_what_a_training_opens_has_a_bar_until_it_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    console, written = terminal()
    with Bars(console) as shown:
        screen = Drawn(shown)
        screen.opening(ODD, 1, 2)
        screen.opening(ODD, 2, 2)
        screen.opening(ODD, 1, 2)  # the same again, as a second set may be called
        screen.remark(ODD)
        screen.ending()
    screen.end(Path("out"))
    assert f"{ODD}\n" in written.getvalue()
    assert "ending after this step\n" in written.getvalue()
    assert capsys.readouterr().out == "done: out/nano.safetensors; out/curves.png shows how it went\n"
