"""Replies of RTSP cameras as bytes, challenges and their answers, descriptions."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from stages.decode.rtsp_messages import MOST_BYTES, Credentials, NotRtsp, Reply, media_sources, take_reply
from stages.decode.rtsp_messages import video_controls as controls

OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def test_a_reply_is_taken_once_it_is_whole() -> None:
    whole = b"RTSP/1.0 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\nx-a:2\r\n\r\nbody" + OK
    data = bytearray()
    taken = []
    for byte in whole:
        data.append(byte)
        taken += [reply for reply in [take_reply(data)] if reply is not None]
    assert [reply.body for reply in taken] == [b"body", b""]
    assert taken[0].all("x-a") == ["1", "2"]
    assert taken[1].first("cseq") == "1"
    assert not data


@pytest.mark.parametrize(
    "before",
    [
        b"\r\n\r\n",
        b"$\x00\x00\x05\r\n\r\nx",
        b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 9\r\n\r\n",
        b"ANNOUNCE * RTSP/1.0\nContent-Length: 2\n\nab",
    ],
)
def test_what_a_camera_sends_in_between_is_passed_over(before: bytes) -> None:
    data = bytearray(before + OK.replace(b"\r\n", b"\n"))
    reply = take_reply(data)
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RTSP/1.0 2000 OK\r\n\r\n",
        b"RTSP/1.0\r\n\r\n",
        b"\x16\x03\x01\n\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 1e9\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"x" * (MOST_BYTES + 1),
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(NotRtsp):
        take_reply(bytearray(data))


def test_nobody_is_answered_before_he_asked() -> None:
    assert Credentials("u", "p").answer("DESCRIBE", "rtsp://h/a") == ""


def test_basic() -> None:
    known = Credentials("usér", "p:w")
    assert known.hear(['Basic realm="r"'])
    scheme, _, given = known.answer("DESCRIBE", "rtsp://h/a").partition(" ")
    assert (scheme, base64.b64decode(given).decode()) == ("Basic", "usér:p:w")
    assert not known.hear(['Basic realm="r"'])  # it was answered, and refused


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_digest_as_rfc_2069_has_it() -> None:
    known = Credentials("u", "p")
    assert known.hear(['Basic realm="b"', 'Digest realm="r", nonce="n", opaque="o"'])
    expected = md5(f"{md5('u:r:p')}:n:{md5('DESCRIBE:rtsp://h/a')}")
    answer = known.answer("DESCRIBE", "rtsp://h/a")
    assert f'response="{expected}"' in answer
    assert 'opaque="o"' in answer
    assert "qop" not in answer


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess"])
def test_digest_as_rfc_2617_has_it(algorithm: str) -> None:
    known = Credentials("u", "p")
    assert known.hear([f'Digest realm="r, s",nonce="n", algorithm={algorithm}, qop="auth-int,auth"'])
    for number in (1, 2):
        answer = known.answer("SETUP", "rtsp://h/a")
        own = re.search('cnonce="([0-9a-f]+)"', answer)
        assert own is not None
        who = md5("u:r, s:p") if algorithm == "MD5" else md5(f"{md5('u:r, s:p')}:n:{own[1]}")
        middle = f"n:{number:08x}:{own[1]}:auth"
        what = md5("SETUP:rtsp://h/a")
        expected = md5(f"{who}:{middle}:{what}")
        assert f'response="{expected}"' in answer
        assert f"nc={number:08x}" in answer


def test_a_challenge_is_answered_once_unless_it_was_stale() -> None:
    known = Credentials("u", "p")
    assert known.hear(['Digest realm="r", nonce="1"'])
    assert not known.hear(['Digest realm="r", nonce="2"'])  # the password is wrong
    assert known.hear(['Digest realm="r", nonce="3", stale=TRUE'])
    assert not known.hear(['Digest realm="r", nonce="3", stale=true'])


@pytest.mark.parametrize("challenges", [[], ["Negotiate"], ['Digest realm="r", nonce="n", algorithm=SHA-256']])
def test_what_cannot_be_answered(challenges: list[str]) -> None:
    known = Credentials("u", "p")
    assert not known.hear(challenges)
    assert known.answer("DESCRIBE", "rtsp://h/a") == ""


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("m=video 0 RTP/AVP 96\r\na=control:track1", ["rtsp://h/a/track1"]),
        ("a=control:*\nm=video 0 RTP/AVP 96\na=control:rtsp://h/b/v", ["rtsp://h/b/v"]),
        ("m=audio 0 RTP/AVP 0\na=control:t0\nm=video 0 RTP/AVP 96", ["rtsp://h/a/"]),
        (
            "a=control:rtsp://h/all\nm=video 0 x\na=control:v\nm=video 0 x\na=control:w",
            ["rtsp://h/all/v", "rtsp://h/all/w"],
        ),
        ("v=0", []),
    ],
)
def test_where_videos_are_set_up(description: str, expected: list[str]) -> None:
    assert controls(description.encode(), "rtsp://h/a/") == expected


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("RTP/AVP;unicast;client_port=1-2;server_port=3-4", []),
        ("RTP/AVP;unicast;source=192.0.2.1;server_port=3-4", ["192.0.2.1"]),
        ("RTP/AVP;SOURCE = h ,RTP/AVP;source=i", ["h", "i"]),
        ("RTP/AVP;resource=x", []),
    ],
)
def test_whence_media_would_come(transport: str, expected: list[str]) -> None:
    reply = Reply(200, (("transport", transport), ("x", "source=y")))
    assert list(media_sources(reply)) == expected
