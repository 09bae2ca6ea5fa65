"""Files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.models.whole_file import whole_file, write_whole


def test_a_file_is_written_and_written_again_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "made" / "figures.json"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def interrupted(path: Path) -> None:
    """Break off in the middle of a file."""
    with whole_file(path) as partial:
        partial.write_bytes(b"hal")
        assert path.read_bytes() == b"before"
        raise KeyboardInterrupt


def test_what_was_there_stays_until_the_end_and_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
