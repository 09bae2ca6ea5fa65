"""Streams over HTTP: MJPEG and MPEG-TS, and servers that refuse."""

from __future__ import annotations

import pytest

from pipeline.errors import SourceError, SourceNotFound, SourceUnauthorized, SourceUnreachable
from tests.cameras import numbered_frames, read_number
from tests.cameras.http_server import MJPEG, MPEG_TS, HttpCamera, mjpeg_parts, mpegts_parts
from tests.reading import read_source


def test_mjpeg_has_every_picture_and_the_hosts_time() -> None:
    with HttpCamera(mjpeg_parts(numbered_frames(20, 320, 240)), content_type=MJPEG, fps=100) as camera:
        reading = read_source(camera.url)
    assert [read_number(frame.surface.planes[0]) for frame in reading.frames] == list(range(20))
    assert {(frame.clock, frame.pts, frame.surface.range) for frame in reading.frames} == {("host", None, "full")}
    assert reading.info.frame_rate is None
    assert reading.undecoded == 0
    assert isinstance(reading.fault, SourceUnreachable)


def test_a_transport_stream_has_every_picture_and_the_cameras_time() -> None:
    with HttpCamera(mpegts_parts(numbered_frames(30, 320, 240)), content_type=MPEG_TS, fps=100) as camera:
        reading = read_source(camera.url)
    assert [read_number(frame.surface.planes[0]) for frame in reading.frames] == list(range(30))
    assert {frame.clock for frame in reading.frames} == {"pts"}
    assert reading.info.frame_rate == 25


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, SourceUnauthorized), (403, SourceUnauthorized), (404, SourceNotFound), (500, SourceUnreachable)],
)
def test_a_server_that_refuses(status: int, kind: type[SourceError]) -> None:
    with HttpCamera([], content_type=MJPEG, status=status) as camera, pytest.raises(kind):
        read_source(camera.url)


def test_a_page_is_no_video() -> None:
    with (
        HttpCamera([b"<html>hello</html>" * 100], content_type="text/html") as camera,
        pytest.raises(SourceError, match="cam: http://127"),
    ):
        read_source(camera.url)


def test_a_playlist_on_a_server_opens_nothing() -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    with (
        HttpCamera([playlist], content_type="application/vnd.apple.mpegurl") as camera,
        pytest.raises(SourceError, match="cam: http://127"),
    ):
        read_source(camera.url)
