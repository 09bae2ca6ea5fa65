"""Addresses: names, schemes, environment, and no secret shown however it is written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.address import (
    derive_source_id,
    expand,
    has_password,
    is_live,
    redact,
    scheme_of,
    scrub,
    split_name,
    unique,
)
from pipeline.errors import AddressError

CANARY = "c4n4ry"


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("door=rtsp://host/a", "door", "rtsp://host/a"),
        ("door=a.mp4", "door", "a.mp4"),
        ("a.mp4", None, "a.mp4"),
        ("rtsp://host/a?x=1", None, "rtsp://host/a?x=1"),
        ("/data/x=1/a.mp4", None, "/data/x=1/a.mp4"),
        ("rtsp://user:pa=ss@host/a", None, "rtsp://user:pa=ss@host/a"),
    ],
)
def test_names_are_split_off(text: str, name: str | None, url: str) -> None:
    assert split_name(text) == (name, url)


@pytest.mark.parametrize(
    ("url", "scheme", "live"),
    [
        ("RTSP://h/a", "rtsp", True),
        ("https://h/a", "https", True),
        ("a.mp4", "file", False),
        ("/x:y.mp4", "file", False),
    ],
)
def test_schemes(url: str, scheme: str, live: bool) -> None:
    assert scheme_of(url) == scheme
    assert is_live(url) is live


@pytest.mark.parametrize(
    ("url", "source_id"),
    [
        ("samples/crossing/crossing.mp4", "crossing"),
        ("rtsp://user:pw@cam.lan:8554/live/main?profile=1", "cam.lan-8554-live-main"),
        ("rtsp://[::1]/a", "1-a"),
        ("rtsp://viewer:with/slash@host/a", "host-a"),
        ("rtsp://host/a?b=c", "host-a"),
        ("...", "source"),
    ],
)
def test_derived_ids(url: str, source_id: str) -> None:
    assert derive_source_id(url) == source_id


def test_unique_numbers_from_two() -> None:
    assert unique("a", []) == "a"
    assert unique("a", ["a", "a-2"]) == "a-3"


def test_environment_is_filled_in_and_a_missing_name_is_told() -> None:
    assert expand("rtsp://u:${CAM}@h/a", {"CAM": "x"}) == "rtsp://u:x@h/a"
    with pytest.raises(AddressError, match="CAM, which is not set"):
        expand("rtsp://u:${CAM}@h/a", {})


def test_a_password_from_the_environment_may_hold_anything() -> None:
    assert expand("rtsp://u:${CAM}@h/a?k=${KEY}", {"CAM": "p@ss/w?#%", "KEY": "a/b"}) == (
        "rtsp://u:p%40ss%2Fw%3F%23%25@h/a?k=a/b"
    )
    assert expand("rtsp://${BOTH}@h/a", {"BOTH": "user:p@ss"}) == "rtsp://user:p%40ss@h/a"
    assert expand("rtsp://u:${CAM}@h/a", {"CAM": "p\udcff"}) == "rtsp://u:p%FF@h/a"  # no UTF-8, as os.environ has it


def test_a_whole_address_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_URL", f"rtsp://user:{CANARY}@cam.lan/live")
    assert is_live("${CAMERA_URL}")
    assert derive_source_id("${CAMERA_URL}") == "cam.lan-live"
    monkeypatch.delenv("CAMERA_URL")
    with pytest.raises(AddressError, match="CAMERA_URL, which is not set"):
        is_live("${CAMERA_URL}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://u:pw@h/a", True),
        ("rtsp://u:${PW}@h/a", False),
        ("rtsp://u@h/a", False),
        ("rtsp://h/a", False),
        ("rtsp://h/a?x=@", False),
        ("http://h/a?x=1&Token=t#y", True),
        ("http://u:${PW}@h/a?pwd=t", True),
        ("http://h/a?token=${TOKEN}&channel=1", False),
        ("a@b:c.mp4", False),
    ],
)
def test_a_password_in_the_address_is_noticed(url: str, expected: bool) -> None:
    assert has_password(url) is expected


@pytest.mark.parametrize(
    "url",
    [
        f"rtsp://user:{CANARY}@host/a",
        f"rtsp://user:{CANARY}/x@host/a",
        f"rtsp://user:a@{CANARY}@host/a",
        f"rtsp://:{CANARY}@host/a",
        f"rtsp://{CANARY}@host/a",
        f"rtsp://host/a?token={CANARY}",
        f"rtsp://host/a?{CANARY}",
        f"rtsp://host/a#{CANARY}",
        f"rtsp://user:{CANARY}?x@host/a?token={CANARY}",
        f"RTSP://user:{CANARY}%40x@host:554/a",
    ],
)
def test_no_secret_is_shown(url: str) -> None:
    assert CANARY not in redact(url)
    assert "host" in redact(url)
    message = f"[tcp @ 0x1] Failed to open {url}: {CANARY} refused"
    assert CANARY not in scrub(message, url) or "#" in url


@pytest.mark.parametrize(
    "url",
    [
        f"http://host/s?user=me@home.example&password={CANARY}",
        f"http://host:8080/s?user=me@home.example&password={CANARY}",
        f"http://host?token=x@{CANARY}",
        f"http://[::1]?token=x@{CANARY}",
        f"http://user:pw@host/s?token=x@{CANARY}",
        f"http://user:p@{CANARY}/x?y@host/s",
        f"http://{CANARY}?y@host/s",
        f"http://host/a#x@{CANARY}",
        f" rtsp://user:{CANARY}@host/a",
        f"door/yard=rtsp://user:{CANARY}@host/a",
        f"rtsp:/user:{CANARY}@host/a",
    ],
)
def test_what_can_be_read_two_ways_or_is_mistyped_shows_no_secret_either(url: str) -> None:
    assert CANARY not in redact(url)
    assert CANARY not in derive_source_id(url)
    assert CANARY not in scrub(f"cannot open {url}: {CANARY} refused", url) or "#" in url


def test_a_name_too_long_for_the_system_is_no_file() -> None:
    url = f"rtsp://user:pw@host/{'a' * 300}"
    assert scheme_of(url) == "rtsp"
    assert split_name(f"door={url}") == ("door", url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://viewer:${CAM}@host/a", "rtsp://***:${CAM}@host/a"),
        ("rtsp://${USER}:${CAM}@host/a", "rtsp://${USER}:${CAM}@host/a"),
        ("rtsp://${BOTH}@host/a?token=${T}", "rtsp://${BOTH}@host/a?token=${T}"),
        ("rtsp://${BOTH}@host/a?token=${T}&k=v", "rtsp://${BOTH}@host/a?***"),
        ("rtsp://viewer:x${CAM}@host/a", "rtsp://***@host/a"),
        ("rtsp://${:secret}@host/a", "rtsp://***@host/a"),
        ("rtsp://:${CAM}@host/a", "rtsp://:${CAM}@host/a"),
    ],
)
def test_what_only_names_the_environment_stays_to_be_used_again(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_short_query_values_blot_out_no_ordinary_text() -> None:
    url = "http://host/video?channel=1&token=l0ngs3cret"
    assert scrub(f"{url}: 10 tries, l0ngs3cret refused", url) == "http://host/video?***: 10 tries, *** refused"


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@"), min_size=3))
def test_no_generated_password_is_shown(password: str) -> None:
    for written in (password, quote(password, safe="")):
        url = f"rtsp://user:{written}@host.example/path?token={written}"
        shown = redact(url)
        assert shown == "rtsp://***@host.example/path?***"
        assert scrub(f"## {url} ## {password} ##", url) == f"## {shown} ## *** ##"
