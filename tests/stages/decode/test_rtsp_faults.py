"""Cameras that refuse or cannot be reached: the exact error, and never the password. More stand in tests/faults."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
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
from tests.cameras import Answer, RtspCamera, numbered_video
from tests.reading import chained_texts, read_source

Cameras = Callable[..., RtspCamera]
USER, PASSWORD = "canary.user", "c@n:ary/w%rd"
TIMEOUT_SECONDS = 0.8


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
@example(user="/#", password="", token="", quoted=False)  # reads as a host, a path and a fragment
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
