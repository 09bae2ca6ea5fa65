"""Where is listened, and what must be shown."""

from __future__ import annotations

import pytest

from pipeline.bind import Bind, bind_of, token_of
from pipeline.config import check, dump, parse
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:9560", Bind("127.0.0.1", 9560)),
        ("localhost:0", Bind("127.0.0.1", 0)),
        ("[::1]:80", Bind("::1", 80)),
        ("0.0.0.0:65535", Bind("0.0.0.0", 65535)),
    ],
)
def test_an_address_is_read(text: str, bind: Bind) -> None:
    assert bind_of(text) == bind
    assert bind_of(str(bind)) == bind


@pytest.mark.parametrize(
    "text", ["", "9560", ":9560", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:\u0663", "::1:80", "host:80", "http://a:1"]
)
def test_what_is_no_address_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^api\.bind: ") as refused:
        bind_of(text)
    assert repr(text) in str(refused.value) or "'host'" in str(refused.value)


def of(**api: str) -> dict[str, object]:
    return {"sources": ["a.mp4"], "api": api}


@pytest.mark.parametrize("bind", ["0.0.0.0:9560", "192.0.2.7:9560", "[::]:9560"])
def test_off_host_needs_a_token(bind: str) -> None:
    with pytest.raises(
        ConfigError, match=r"api\.bind: .* can be reached from other machines and api\.token is not set"
    ):
        check(parse(of(bind=bind)))
    assert check(parse(of(bind=bind, token="${TOKEN}"))).api.bind == bind
    assert check(parse(of(bind="127.0.0.1:9560"))).api.token is None


def test_a_token_that_stands_in_the_file_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"api\.token: not allowed as it stands\. .* only as \$\{NAME\}") as refused:
        parse(of(token="hunter2hunter2hunter2"))
    assert "hunter2" not in str(refused.value)
    assert "${TOKEN}" in dump(parse(of(token="${TOKEN}")))


def test_the_token_comes_from_the_environment() -> None:
    assert token_of(None, {}) is None
    assert token_of("${T}", {"T": "x" * 16}) == "x" * 16


@pytest.mark.parametrize("value", ["", "x" * 15, "x" * 16 + " y", "\u00e9" * 20, "x" * 16 + "\n"])
def test_what_is_no_token_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^api\.token: the environment variable T ") as refused:
        token_of("${T}", {"T": value})
    assert not value or value not in str(refused.value)
