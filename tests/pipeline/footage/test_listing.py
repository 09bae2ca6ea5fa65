"""Which recordings are meant: each once, in order, with names that stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.footage.listing import MOST_NAME, find_recordings


@pytest.fixture
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("gate/10.mp4", "gate/9.mp4", "gate/night/1.mkv", "yard/9.mp4", "gate/notes.txt", "gate/.x.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*given: str) -> list[str]:
    return [recording.name for recording in find_recordings(given)]


def test_a_folder_stands_for_the_videos_below_it_by_number(footage: Path) -> None:
    assert names("gate") == ["9", "10", "night-1"]
    assert names(str(footage / "gate")) == ["9", "10", "night-1"]
    assert names(".") == ["gate-9", "gate-10", "gate-night-1", "yard-9"]


def test_files_patterns_and_lists(footage: Path) -> None:
    assert names("gate/10.mp4", "yard/9.mp4") == ["10", "9"]
    assert names("*/9.mp4") == ["gate-9", "yard-9"]
    assert names("gate/**/*.m*") == ["9", "10", "night-1"]
    (footage / "tonight.txt").write_text("# both\ngate/10.mp4\n\n  yard\n")
    assert names("@tonight.txt") == ["10", "9"]
    os.chdir(footage / "gate")
    assert names("@../tonight.txt") == ["10", "9"]


def test_a_file_that_is_meant_twice_is_taken_once(footage: Path) -> None:
    (footage / "link.mp4").symlink_to(footage / "gate" / "10.mp4")
    assert names("gate/10.mp4", "gate", "link.mp4") == ["10", "9", "night-1"]


def test_two_of_one_name_are_told_apart_by_where_they_lie_alone(footage: Path) -> None:
    both = names("gate/9.mp4", "yard/9.mp4")
    assert both[0] != both[1]
    assert all(name.startswith("9-") for name in both)
    assert names("yard/9.mp4", "gate/10.mp4", "gate/9.mp4") == [both[1], "10", both[0]]


def test_none_is_called_as_the_report_is(footage: Path) -> None:
    (footage / "report.json.mp4").touch()
    (name,) = names("report.json.mp4")
    assert name.startswith("report.json-")


def test_names_are_a_source_s(footage: Path) -> None:
    odd = footage / ("café – “1”" + 90 * "x" + ".mp4")
    odd.touch()
    (name,) = names(str(odd))
    assert len(name) <= MOST_NAME
    assert name.isascii()
    (footage / "...mp4").touch()
    assert names(str(footage / "...mp4")) == ["recording"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere.mp4", r"nowhere\.mp4: there is no such file or folder"),
        ("gate/*.avi", r"gate/\*\.avi: no video file matches"),
        ("empty", r"empty: no video file is in it; .*\.mp4"),
        ("@nolist", "@nolist: the list cannot be read: No such file"),
        ("@bytes", "@bytes: the list cannot be read: it is not text"),
        ("@none", "@none: the list is empty"),
        ("@listed", "@listed: a list cannot name another list"),
    ],
)
def test_what_is_not_there_is_told_of(given: str, told: str, footage: Path) -> None:
    (footage / "empty").mkdir()
    (footage / "bytes").write_bytes(b"\xff\xfe\x00")
    (footage / "none").write_text("# nothing\n")
    (footage / "listed").write_text("@none\n")
    with pytest.raises(UsageError, match=told):
        find_recordings([given])
