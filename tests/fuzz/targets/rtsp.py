"""What an RTSP camera answers before it is opened: `NotRtsp`, or replies, challenges and controls that are bounded."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config import SourceConfig
from stages.decode.faults import moved_fault, status_fault
from stages.decode.rtsp_messages import MOST_BYTES, Credentials, NotRtsp, media_sources, take_reply, video_controls

SECRET = "Zq7canaryQz9"
ADDRESS = f"rtsp://viewer:{SECRET}@192.0.2.7/stream"
SOURCE = SourceConfig(url=ADDRESS, source_id="door")
MOST_SHOWN = 500


def one_input(data: bytes) -> None:
    """The bytes as all that a camera sends, in one piece and in two."""
    replies = []
    received = bytearray(data)
    known = Credentials("viewer", SECRET)
    try:
        while (reply := take_reply(received)) is not None:
            replies.append(reply)
            known.hear(reply.all("www-authenticate"))
            answer = known.answer("DESCRIBE", "rtsp://192.0.2.7/stream")
            assert "\r" not in answer
            assert "\n" not in answer
            for control in video_controls(reply.body, "rtsp://192.0.2.7/stream"):
                assert "\n" not in control
            list(media_sources(reply))
            moved = moved_fault(reply.status, reply.first("location"), source=SOURCE, address=ADDRESS)
            assert SECRET not in str(moved)
            assert len(str(moved)) < MOST_SHOWN
            assert SECRET not in str(status_fault(max(400, reply.status), source=SOURCE, address=ADDRESS))
    except NotRtsp:
        return
    assert len(received) <= MOST_BYTES
    _in_pieces(data, expected=len(replies))


def _in_pieces(data: bytes, *, expected: int) -> None:
    """However it is cut, the same comes of it."""
    received, found = bytearray(), 0
    for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
        received += piece
        while take_reply(received) is not None:
            found += 1
    assert found == expected


def seeds() -> Iterator[bytes]:
    """What cameras say."""
    yield b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n"
    yield (
        b'RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
        b'WWW-Authenticate: Basic realm="r"\r\n\r\nRTSP/1.0 401 Unauthorized\r\n'
        b'WWW-Authenticate: Digest realm="r", nonce="m", stale=TRUE, algorithm=MD5-sess, opaque="o"\r\n\r\n'
    )
    body = b"v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:track=0\r\n"
    head = b"RTSP/1.0 200 OK\r\nContent-Base: rtsp://192.0.2.7/stream/\r\nContent-Length: %d\r\n\r\n" % len(body)
    yield head + body
    yield (
        b"RTSP/1.0 302 Found\r\nLocation: rtsp://viewer:"
        + SECRET.encode()
        + b"@192.0.2.9/x?a="
        + b"b" * 30
        + b"\r\n\r\n"
    )
    yield b"$\x00\x00\x04abcdRTSP/1.0 200 OK\nTransport: RTP/AVP;unicast;source=192.0.2.9;server_port=1-2\n\n"
    yield b"OPTIONS rtsp://192.0.2.7/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
