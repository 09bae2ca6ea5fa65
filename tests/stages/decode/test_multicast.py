"""RTSP over multicast: from somebody else's server, refused by a camera, and with a group that is none."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import SourceUnsupported
from stages.decode.preflight import Interview
from stages.decode.rtsp_dialogue import Place
from stages.decode.rtsp_messages import Reply
from tests.cameras import Behaviour, RtspCamera, numbered_frames, read_number
from tests.cameras.files import write_video
from tests.cameras.gst_camera import GstCamera
from tests.reading import read_source
from tests.require import skip_without

GROUP = "239.255.77.1"


@pytest.fixture
def multicast() -> None:
    """Skips where this machine carries no multicast to itself."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaking,
    ):
        try:
            hearing.bind(("", 0))
            member = socket.inet_aton(GROUP) + struct.pack("=I", socket.INADDR_ANY)
            hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            hearing.settimeout(2.0)
            speaking.sendto(b"x", (GROUP, hearing.getsockname()[1]))
            hearing.recv(1)
        except OSError as exc:
            skip_without("multicast", lacking=f"a network interface that carries multicast ({exc})")


@pytest.mark.usefixtures("multicast")
def test_a_camera_that_sends_to_a_group(rtsp_camera: Callable[..., RtspCamera]) -> None:
    camera = rtsp_camera(behaviour=Behaviour(group=GROUP))
    reading = read_source(camera.url, transport="multicast", max_frames=20)
    numbers = [read_number(frame.surface.planes[0]) for frame in reading.frames]
    assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + 20))
    assert {frame.clock for frame in reading.frames} <= {"pts", "rtcp"}


def test_a_camera_that_does_not(rtsp_camera: Callable[..., RtspCamera]) -> None:
    with pytest.raises(SourceUnsupported, match="does not send over multicast; try transport: tcp"):
        read_source(rtsp_camera().url, transport="multicast")


@pytest.mark.rtsp
def test_gst_rtsp_server_without_a_group(gst_camera: Callable[..., GstCamera], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(20, 320, 240))
    with pytest.raises(SourceUnsupported, match="does not send over multicast; try transport: tcp"):
        read_source(gst_camera(clip).url, transport="multicast")


class Answers:
    """A camera's end of the dialogue, which answers SETUP with this transport."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.asked: list[dict[str, str]] = []
        self.left = False

    def ask(self, method: str, uri: str, **headers: str) -> Reply:
        self.asked.append({"method": method, **headers})
        body = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:track1\r\n" if method == "DESCRIBE" else b""
        told = (("transport", self.transport), ("session", "1")) if method == "SETUP" else ()
        return reply_of(told, body)

    def leave(self, uri: str, **headers: str) -> None:
        self.left = True


def reply_of(headers: tuple[tuple[str, str], ...], body: bytes) -> Reply:
    return Reply(200, headers, body)


def interview(transport: str) -> Answers:
    address = "rtsp://192.0.2.7/stream"
    source = SourceConfig(url=address, source_id="cam", transport="multicast")
    answers = Answers(transport)
    Interview(source, address, Place.of(address), answers, peer="192.0.2.7").hold()  # type: ignore[arg-type]
    return answers


def test_a_group_is_taken() -> None:
    answers = interview("RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=1")
    assert answers.asked[-1]["Transport"] == "RTP/AVP/UDP;multicast"
    assert answers.left


@pytest.mark.parametrize(
    "transport",
    [
        "RTP/AVP;multicast;destination=192.0.2.99;port=5000-5001",
        "RTP/AVP;multicast;destination=intranet.example;port=5000-5001",
        "RTP/AVP;multicast;Destination = 10.0.0.1 ;port=5000-5001",
        "RTP/AVP;multicast;destination=239.1.2.3;destination=10.0.0.1",
        "RTP/AVP;multicast;port=5000-5001",
    ],
)
def test_what_is_no_group_is_refused(transport: str) -> None:
    with pytest.raises(SourceUnsupported, match=r"cam: .* as the multicast group of its media; try transport: tcp"):
        interview(transport)
