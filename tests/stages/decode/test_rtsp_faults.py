"""Cameras that refuse, are silent, hang up or send rubbish: the exact error, in time, and never the password."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import (
    AddressError,
    EveryframeError,
    NoDecodableFrames,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)
from tests.cameras import (
    Answer,
    Behaviour,
    HangUpAfter,
    NoKeyframes,
    RefuseCredentials,
    RtspCamera,
    SilentAt,
    StallAfter,
    numbered_video,
)
from tests.reading import chained_texts, read_source

Cameras = Callable[..., RtspCamera]
USER, PASSWORD = "canary.user", "c@n:ary/w%rd"
TIMEOUT_SECONDS = 0.8

FAULTS: dict[str, tuple[Behaviour, type[SourceError], str]] = {
    "refuses every password": (RefuseCredentials(), SourceUnauthorized, "refused the user or the password (401)"),
    "forbids": (Answer(403), SourceUnauthorized, "forbids this user to see the stream (403)"),
    "knows no such path": (Answer(404), SourceNotFound, "knows no such stream (404)"),
    "calls the request bad": (Answer(400), SourceUnsupported, "calls the request bad (400)"),
    "refuses otherwise": (Answer(453, method="PLAY"), SourceUnreachable, "refused the request (4xx)"),
    "fails inside": (Answer(503), SourceUnreachable, "failed inside (5xx)"),
    "offers another transport": (Answer(461, method="SETUP"), SourceUnsupported, "try transport: "),
    "is silent at once": (SilentAt("OPTIONS"), SourceUnreachable, "did not answer within 0.8 s"),
    "is silent when asked for a description": (SilentAt("DESCRIBE"), SourceUnreachable, "did not answer within 0.8 s"),
    "is silent when asked to play": (SilentAt("PLAY"), SourceUnreachable, "did not answer within 0.8 s"),
    "sends no media": (StallAfter(0), NoDecodableFrames, "gave no frame in 0."),
    "stops sending": (StallAfter(12), SourceUnreachable, "after 12 frames"),
    "hangs up at once": (HangUpAfter(0), NoDecodableFrames, "hung up before the first frame"),
    "hangs up later": (HangUpAfter(12), SourceUnreachable, "closed the connection after 12 frames"),
    "sends no keyframe": (NoKeyframes(), NoDecodableFrames, "it may send no keyframe"),
}


def fault_of(url: str, **settings: object) -> SourceError:
    """The fault of opening or of reading."""
    timeouts = {"open_timeout_seconds": TIMEOUT_SECONDS, "read_timeout_seconds": TIMEOUT_SECONDS}
    try:
        fault = read_source(url, **{**timeouts, **settings}).fault
    except SourceError as exc:
        fault = exc
    assert fault is not None
    return fault


def forms_of(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}


def assert_tells_no_secret(exc: BaseException) -> None:
    hidden = forms_of(USER) | forms_of(PASSWORD) | forms_of(f"{USER}:{PASSWORD}")
    for text in chained_texts(exc):
        assert not [secret for secret in hidden if secret in text]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_camera_that(rtsp_camera: Cameras, name: str, transport: str) -> None:
    behaviour, kind, text = FAULTS[name]
    camera = rtsp_camera(numbered_video(30, fps=100), user=USER, password=PASSWORD, behaviour=behaviour)
    started = time.monotonic()
    fault = fault_of(camera.url, transport=transport)
    assert time.monotonic() - started < 3 * TIMEOUT_SECONDS + 1.5
    assert type(fault) is kind
    assert text in str(fault)
    assert f"cam: rtsp://***@127.0.0.1:{camera.port}/stream" in str(fault)
    assert_tells_no_secret(fault)


def test_a_wrong_password_and_none(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera(user="admin", password="right")
    wrong = fault_of(camera.url_of("/stream", user=USER, password=PASSWORD))
    assert type(wrong) is SourceUnauthorized
    assert "check both" in str(wrong)
    assert_tells_no_secret(wrong)
    none = fault_of(camera.url_of("/stream"))
    assert type(none) is SourceUnauthorized
    assert "asks for a user and a password (401); none is in the address" in str(none)


def test_a_wrong_path(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera()
    assert type(fault_of(camera.url_of("/other"))) is SourceNotFound


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http"])
def test_a_port_that_nobody_listens_on(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fault = fault_of(f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/a")
    assert type(fault) is SourceUnreachable
    assert "refused the connection; check that it is on, and the port" in str(fault)
    assert_tells_no_secret(fault)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_does_not_resolve(scheme: str) -> None:
    fault = fault_of(f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@camera.invalid/a")
    assert type(fault) is SourceNotFound
    assert "names a host that does not resolve" in str(fault)
    assert_tells_no_secret(fault)


def test_a_camera_without_tls_asked_for_tls(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera(user=USER, password=PASSWORD)
    fault = fault_of(camera.url.replace("rtsp://", "rtsps://"))
    assert type(fault) is SourceUnreachable
    assert_tells_no_secret(fault)


def test_pictures_larger_than_allowed(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera(numbered_video(10, 320, 240, fps=100), user=USER, password=PASSWORD)
    fault = fault_of(camera.url, max_pixels=320 * 240 - 1)
    assert type(fault) in (SourceUnsupported, NoDecodableFrames)
    assert_tells_no_secret(fault)


@pytest.fixture(scope="module")
def strict_camera() -> Iterator[RtspCamera]:
    """Lets nobody in."""
    with RtspCamera(numbered_video(5), user="somebody", password="else") as camera:
        yield camera


odd_text = st.text("abcXYZ019._-%40:/?#&=+ é", max_size=8)


@settings(max_examples=200, deadline=None)
@given(user=odd_text, password=odd_text, token=odd_text, quoted=st.booleans())
def test_no_generated_secret_is_ever_told(
    strict_camera: RtspCamera, user: str, password: str, token: str, quoted: bool
) -> None:
    """200 addresses with a canary in user, password and query, written as they should be and as they should not."""
    secrets = [f"canary1{user}", f"canary2{password}", f"canary3{token}"]
    written = [quote(secret, safe="") if quoted else secret for secret in secrets]
    address = f"rtsp://{written[0]}:{written[1]}@127.0.0.1:{strict_camera.port}/stream?token={written[2]}"
    with pytest.raises(EveryframeError) as caught:
        read_source(address, open_timeout_seconds=TIMEOUT_SECONDS)
    for text in chained_texts(caught.value):
        assert "canary" not in text
        assert not [s for s in secrets if base64.b64encode(s.encode()).decode().rstrip("=") in text]


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAM", raising=False)
    with pytest.raises(AddressError, match="needs the environment variable CAM, which is not set") as caught:
        read_source(f"rtsp://{USER}:${{CAM}}@127.0.0.1:1/a")
    assert isinstance(caught.value, EveryframeError)
    assert_tells_no_secret(caught.value)


def test_query_values_are_secrets_too(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera(behaviour=Answer(404))
    fault = fault_of(f"{camera.url}?token={quote(PASSWORD, safe='')}")
    assert "?***" in str(fault)
    assert_tells_no_secret(fault)


def test_a_camera_that_comes_back_is_read_again(rtsp_camera: Cameras) -> None:
    first = rtsp_camera(numbered_video(5, fps=100))
    first.close()
    assert type(fault_of(first.url)) is SourceUnreachable
    again = rtsp_camera(numbered_video(5, fps=100), port=first.port)
    assert len(read_source(again.url, max_frames=3).frames) == 3
