"""Video devices of this machine: their addresses, and what is said of one that cannot be used.

No machine that tests this has a camera; what is not shown here is a picture from one.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.address import derive_source_id, device_path, is_live, scheme_of
from pipeline.config import SourceConfig, check, parse
from pipeline.errors import (
    AddressError,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)
from stages.decode import webcam
from stages.decode.options import opening_options
from tests.reading import read_source

SOURCE = SourceConfig(url="webcam:250", source_id="cam")
MISSING = Path("/dev/video250")


def test_the_address() -> None:
    assert (scheme_of("webcam:0"), is_live("webcam:0"), derive_source_id("webcam:0")) == ("webcam", True, "webcam-0")
    assert device_path("webcam:12") == Path("/dev/video12")
    (source,) = check(parse({"sources": ["desk=webcam:0"]})).source_configs
    assert (source.lossless, source.offline) == (False, False)


@pytest.mark.parametrize(
    "address", ["webcam:", "webcam:a", "webcam:-1", "webcam:0/../null", "webcam:1234", "webcam:/dev/null"]
)
def test_what_is_no_number_is_refused_before_anything_starts(address: str) -> None:
    with pytest.raises(AddressError, match="is no webcam; webcam:0 is /dev/video0"):
        check(parse({"sources": [address]}))
    with pytest.raises(AddressError, match="is no webcam"):
        read_source(address)


def test_ffmpeg_is_told_to_open_a_device_and_nothing_else() -> None:
    options = opening_options(SOURCE, "webcam")
    assert options["format_whitelist"] == "video4linux2,v4l2"
    assert options["protocol_whitelist"] == "none"


@pytest.mark.skipif(MISSING.exists(), reason="this machine has 251 cameras")
def test_a_device_that_is_missing() -> None:
    with pytest.raises(SourceNotFound, match=r"cam: webcam:250: /dev/video250 is not there; .*; plug the camera in"):
        read_source("webcam:250")


def test_a_device_that_is_no_camera() -> None:
    for path in (Path("/dev/null"), Path("/etc/hostname"), Path("/dev")):
        assert isinstance(webcam.refusal(path, SOURCE), SourceUnsupported)


def test_ffmpeg_too_finds_that_a_device_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcam, "refusal", lambda path, source: None)
    monkeypatch.setattr(webcam, "device_path", lambda address: Path("/dev/null"))
    with pytest.raises(SourceUnsupported, match="/dev/null gives no pictures"):
        read_source("webcam:0")


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.EACCES, SourceUnauthorized, "add the user to the group 'video'"),
        (errno.EBUSY, SourceUnreachable, "in use by another program; close that one"),
        (errno.ENODEV, SourceNotFound, "plug the camera in"),
        (errno.EIO, SourceUnreachable, "could not be opened: Input/output error"),
    ],
)
def test_what_the_system_says_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[SourceError], remedy: str
) -> None:
    def refused(*arguments: Any, **settings: Any) -> Any:
        raise OSError(code, "no")

    monkeypatch.setattr(webcam, "refusal", lambda path, source: None)
    monkeypatch.setattr(av, "open", refused)
    with pytest.raises(kind, match=remedy):
        read_source("webcam:0")
