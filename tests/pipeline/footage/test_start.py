"""When a recording began, by its name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import UsageError
from pipeline.footage.start import began, zone_of

MOMENT = datetime(2026, 11, 26, 10, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "path",
    [
        "gate_20261126_103015.mp4",
        "2026-11-26T10-30-15Z.mkv",
        "gate/2026-11-26 10.30.15.123.mp4",
        "20261126103015.ts",
        "NVR_ch1_main_20261126103015_20261126104015.mp4",  # the first of two
        "/media/recordings/2026-11-26/10/gate/30.15.mp4",
        "2026-11-26/10-30-15.mp4",
        "gate/2026/11/26/103015.mp4",
        "20261126/gate-103015.mp4",
        "gate-1795689015.mp4",
    ],
)
def test_names_of_recorders(path: str) -> None:
    if path.startswith("gate/2026/11"):
        assert began(Path(path), UTC) is None  # a date over several folders is not guessed at
        return
    assert began(Path(path), UTC) == MOMENT


@pytest.mark.parametrize("path", ["gate.mp4", "clip-1080.mp4", "20261340_103015.mp4", "2026-11-26.mp4", "x/10/30.mp4"])
def test_names_that_say_nothing(path: str) -> None:
    assert began(Path(path), UTC) is None


def test_times_are_of_the_zone_that_is_named() -> None:
    zurich = zone_of("Europe/Zurich")
    assert began(Path("20260701_120000.mp4"), zurich) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert began(Path("20260701T120000Z.mp4"), zurich) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert zone_of("utc") is UTC
    assert zone_of("Europe/Zurich") == ZoneInfo("Europe/Zurich")
    with pytest.raises(UsageError, match=r"--zone: 'Nowhere/Land' is no time zone"):
        zone_of("Nowhere/Land")
