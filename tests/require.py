"""Skipping a test for something that is missing, unless this machine must have it.

`EVERYFRAME_REQUIRE` names, separated by commas, what may not be missing: `shared` (the data beside the checkout),
`rtsp` (gst-rtsp-server), `node` (and npm), `mqtt` (Mosquitto), `redis`, `gpu`. There a skip becomes a failure, so that
no machine goes quiet.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def required(what: str) -> bool:
    """Whether this machine must have it."""
    return what in os.environ.get("EVERYFRAME_REQUIRE", "").replace(" ", "").split(",")


def skip_without(what: str, *, lacking: str) -> NoReturn:
    """End the test: skipped for what is `lacking`, or failed where `what` is required."""
    message = f"needs {lacking}"
    if required(what):
        pytest.fail(f"{message}, and EVERYFRAME_REQUIRE names {what}", pytrace=False)
    pytest.skip(message)
