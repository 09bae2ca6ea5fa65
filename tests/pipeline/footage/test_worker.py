"""A worker tells that it is alive, whatever it is at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import check, parse
from pipeline.footage import worker
from pipeline.footage.worker import Export, Looked, Report


def test_an_export_that_has_read_everything_goes_on_telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(names: Any, *, tell: Callable[[int, int | None], None], stopping: Callable[[], bool], **_: Any) -> None:
        tell(16, 20)
        assert not stopping()
        tell(20, 20)
        assert not any(stopping() for _ in range(3))

    monkeypatch.setattr("pipeline.build.export_recording", export)
    monkeypatch.setattr(worker, "TELL_SECONDS", -1.0)
    told: list[Report] = []
    config = check(parse({"sources": ["rtsp://door/"]}))
    worker._export(Export(("report",), str(tmp_path), ("clip.mp4",)), config, told.append)
    assert told == [Looked(16), Looked(20), Looked(20), Looked(20)]
