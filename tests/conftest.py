"""Fixtures every test may use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from tests.require import skip_without

if TYPE_CHECKING:
    from tests.cameras import H264Video, RtspCamera
    from tests.cameras.gst_camera import GstCamera
    from tests.mosquitto import Mosquitto
    from tests.redis_server import RedisServer

_SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here and not in tests/faults, because options are only known from folders that pytest reads at its start."""
    parser.addoption("--faults-json", metavar="FILE", help="write the table of tests/faults to FILE as JSON")


def pytest_configure() -> None:
    """Tests that start pytest themselves start it plainly, whatever this run was asked for."""
    os.environ.pop("PYTEST_ADDOPTS", None)


@pytest.fixture(autouse=True)
def no_priority() -> Iterator[None]:
    """No test leaves this process, and with it whatever later tests start, ahead of everything else on the machine."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m gpu` reads only files with tests of a GPU: it must run where what other tests import is not installed."""
    if config.getoption("markexpr") != "gpu":
        return None
    return not any(path.is_relative_to(collection_path) for path in _gpu_tests()) or None


@cache
def _gpu_tests() -> tuple[Path, ...]:
    named = re.compile(r"mark\.gpu\b|kernel_device|tensor_device")
    return tuple(path for path in Path(__file__).parent.rglob("test_*.py") if named.search(path.read_text()))


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


@pytest.fixture
def redis_server() -> Iterator[Callable[..., RedisServer]]:
    """Start redis-servers, `redis_server(tcp=False, **settings)`; without it the test is skipped.

    `EVERYFRAME_REQUIRE=redis` turns the skip into a failure.
    """
    from tests.redis_server import RedisServer, is_available

    if not is_available():
        skip_without("redis", lacking="redis-server")
    with ExitStack() as servers, TemporaryDirectory(prefix="everyframe-") as folder:  # a socket's path must be short

        def start(**keywords: Any) -> RedisServer:
            return servers.enter_context(RedisServer(Path(folder) / str(len(os.listdir(folder))), **keywords))

        yield start


@pytest.fixture
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Start MQTT brokers, `mosquitto(**keywords of Mosquitto)`; without it the test is skipped.

    `EVERYFRAME_REQUIRE=mqtt` turns the skip into a failure.
    """
    from tests.mosquitto import Mosquitto, program

    if program() is None:
        skip_without("mqtt", lacking="mosquitto")
    with ExitStack() as brokers:

        def start(**keywords: Any) -> Mosquitto:
            return brokers.enter_context(Mosquitto(tmp_path_factory.mktemp("mosquitto"), **keywords))

        yield start
