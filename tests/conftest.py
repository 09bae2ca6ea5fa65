"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.require import skip_without

if TYPE_CHECKING:
    from tests.cameras import H264Video, RtspCamera
    from tests.cameras.gst_camera import GstCamera

_SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, ground truth and weights beside the checkout; without it the test is skipped.

    `EVERYFRAME_REQUIRE=shared` turns the skip into a failure, so that a machine that should have it cannot go quiet.
    """
    if not _SHARED.is_dir():
        skip_without("shared", lacking=f"the shared data in {_SHARED}")
    return _SHARED


@pytest.fixture
def rtsp_camera() -> Iterator[Callable[..., RtspCamera]]:
    """Start scripted cameras, `rtsp_camera(video=None, **keywords of RtspCamera)`; all are closed with the test."""
    from tests.cameras import RtspCamera, numbered_video

    with ExitStack() as cameras:

        def start(video: H264Video | None = None, **keywords: Any) -> RtspCamera:
            return cameras.enter_context(RtspCamera(video or numbered_video(), **keywords))

        yield start


@pytest.fixture
def gst_camera() -> Iterator[Callable[..., GstCamera]]:
    """Start gst-rtsp-server cameras, `gst_camera(path, user=None, password="")`; without it the test is skipped.

    `EVERYFRAME_REQUIRE=rtsp` turns the skip into a failure.
    """
    from tests.cameras.gst_camera import GstCamera, is_available

    if not is_available():
        skip_without("rtsp", lacking="gst-rtsp-server and its GObject bindings for /usr/bin/python3")
    with ExitStack() as cameras:

        def start(path: Path, **keywords: Any) -> GstCamera:
            return cameras.enter_context(GstCamera(path, **keywords))

        yield start
