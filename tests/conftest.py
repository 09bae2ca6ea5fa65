"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, ground truth and weights beside the checkout; without it the test is skipped.

    `EVERYFRAME_REQUIRE=shared` turns the skip into a failure, so that a machine that should have it cannot go quiet.
    """
    if not _SHARED.is_dir():
        message = f"needs the shared data in {_SHARED}"
        if "shared" in os.environ.get("EVERYFRAME_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    return _SHARED
