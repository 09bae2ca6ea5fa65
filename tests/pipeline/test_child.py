"""A worker process as it is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pipeline.child import Child


def test_a_worker_starts_although_the_working_directory_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr(sys, "path", ["", *map(os.path.abspath, sys.path)])
    gone.rmdir()
    child = Child(debug=False, single_threaded=True)
    try:
        assert child.reports() == ([], False)
    finally:
        child.kill()
