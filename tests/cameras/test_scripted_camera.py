"""The cameras that other tests rely on: numbers, packets, credentials, and nothing left behind."""

from __future__ import annotations

import socket
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cameras import Behaviour, RtspCamera, StallAfter, numbered_frame, numbered_video, read_number
from tests.cameras.authentication import Credentials
from tests.cameras.h264 import split_annex_b
from tests.cameras.messages import Request
from tests.cameras.rtp import RtpSender, payloads


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (161, 97)])
@given(number=st.integers(0, 2**16 - 1))
@settings(max_examples=20, deadline=None)
def test_a_number_is_read_from_rgb_and_from_luma(size: tuple[int, int], number: int) -> None:
    picture = numbered_frame(number, *size)
    assert read_number(picture) == number
    assert read_number(picture.mean(axis=2).astype(np.uint8)) == number


def test_a_picture_without_a_number_gives_none() -> None:
    assert read_number(np.full((240, 320), 128, np.uint8)) is None


@given(body=st.binary(min_size=0, max_size=9000), head=st.integers(1, 23), limit=st.integers(16, 1500))
def test_fragments_make_the_nal_unit_again(body: bytes, head: int, limit: int) -> None:
    nal = bytes((0x60 | head,)) + body
    parts = list(payloads(nal, max_payload=limit))
    assert all(len(part) <= limit for part in parts)
    if len(parts) == 1:
        assert parts == [nal]
        return
    assert [bool(part[1] & 0x80) for part in parts] == [i == 0 for i in range(len(parts))]
    assert [bool(part[1] & 0x40) for part in parts] == [i == len(parts) - 1 for i in range(len(parts))]
    assert bytes(((parts[0][0] & 0xE0) | (parts[0][1] & 0x1F),)) + b"".join(part[2:] for part in parts) == nal


def test_packets_are_numbered_and_the_last_of_a_picture_is_marked() -> None:
    sender = RtpSender(sequence=65_534)
    packets = sender.packetise([bytes(10), bytes(3000)], timestamp=2**32 + 5)
    headers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    assert [header[2] for header in headers] == [65_534, 65_535, 0, 1]
    assert [header[1] >> 7 for header in headers] == [0, 0, 0, 1]
    assert {header[3] for header in headers} == {5}
    assert sender.packets == 4
    assert sender.octets == sum(len(packet) - 12 for packet in packets)


def test_a_sender_report_holds_ntp_time() -> None:
    report = RtpSender().report(7, wall_clock_ns=1_500_000_000)
    seconds, fraction, timestamp = struct.unpack("!III", report[8:20])
    assert (seconds, fraction, timestamp) == (2_208_988_801, 2**31, 7)


def test_annex_b_is_split_at_start_codes_of_three_and_four_bytes() -> None:
    assert list(split_annex_b(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65")) == [b"\x67ab", b"\x68c", b"\x65"]


def test_digest_is_that_of_rfc_2617() -> None:
    """The example of RFC 2617, 3.5, answered without qop as in RFC 2069."""
    camera = Credentials(
        "Mufasa", "Circle Of Life", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"
    )
    digest = "670fd8c2df070c60b045671b8b24ff02"
    nonce = 'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    given_header = f'Digest username="Mufasa", {nonce}, uri="/dir/index.html", response="{digest}"'
    assert camera.accept(Request("GET", "/dir/index.html", {"authorization": given_header}))
    assert not camera.accept(Request("PUT", "/dir/index.html", {"authorization": given_header}))
    assert not camera.accept(Request("GET", "/dir/index.html", {}))


def test_basic_credentials() -> None:
    camera = Credentials("Aladdin", "open sesame", scheme="basic")
    assert camera.accept(Request("DESCRIBE", "rtsp://x/", {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}))
    assert not camera.accept(Request("DESCRIBE", "rtsp://x/", {"authorization": "Basic QWxhZGRpbjp3cm9uZw=="}))


def test_a_video_is_encoded_in_decoding_order_with_its_parameter_sets() -> None:
    video = numbered_video(24, b_frames=2)
    assert sorted(unit.presented for unit in video.units) == list(range(24))
    assert [unit.presented for unit in video.units] != list(range(24))
    assert video.units[0].is_keyframe
    assert (video.sps[0] & 0x1F, video.pps[0] & 0x1F) == (7, 8)


def test_a_closed_camera_leaves_no_thread_and_no_port() -> None:
    before = set(threading.enumerate())
    with RtspCamera(numbered_video(), behaviour=StallAfter(1)) as camera:
        clients = [socket.create_connection(("127.0.0.1", camera.port)) for _ in range(3)]
        clients[0].sendall(b"OPTIONS rtsp://127.0.0.1/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert clients[0].recv(100).startswith(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
    assert set(threading.enumerate()) <= before
    for client in clients:
        client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", camera.port))


def test_pictures_go_out_at_the_pace_of_the_video() -> None:
    started = time.monotonic()
    with RtspCamera(numbered_video(10, fps=20), behaviour=Behaviour(loop=False)) as camera:
        head = f"rtsp://127.0.0.1:{camera.port}/stream RTSP/1.0\r\nCSeq: 1\r\n"
        with socket.create_connection(("127.0.0.1", camera.port)) as client, client.makefile("rb") as stream:
            client.sendall(f"SETUP {head}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n".encode())
            client.sendall(f"PLAY {head}\r\n".encode())
            assert len(stream.read()) > 1000  # until the camera hangs up after the last picture
    assert time.monotonic() - started >= 9 / 20
