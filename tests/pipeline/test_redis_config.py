"""Settings of Redis: what is refused, and what is never shown."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from pipeline.config import PipelineConfig, check, dump, parse
from pipeline.errors import UsageError
from pipeline.redis_address import check_redis_address, is_redis
from pipeline.redis_connection import connected


def configured(**redis: object) -> PipelineConfig:
    return check(parse({"sources": ["a.mp4"], "redis": redis}))


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379/0",
        "redis://:${PW}@host:1/15",
        "rediss://user:${REDIS}@redis.example.com/0?ssl_ca_certs=/etc/ca.pem",
        "redis://user:with@sign/and?mark#@[::1]:6379",
        "unix:///run/redis/s",
        "${REDIS_URL}",
    ],
)
def test_addresses_of_redis(address: str) -> None:
    assert check_redis_address(address) == address
    assert configured(url=address).redis.url == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://host/0", "is not an address of Redis"),
        ("redis://", "is not an address of Redis"),
        ("redis://host:0/0", "is not an address of Redis"),
        ("redis://host:65536", "is not an address of Redis"),
        ("redis://host/zero", "is not an address of Redis"),
        ("unix://relative", "is not an address of Redis"),
        ("rediss://host/0?ssl_cert_reqs=none", "option 'ssl_cert_reqs'"),
        ("redis://host/0?socket_timeout=900", "option 'socket_timeout'"),
        ("redis://host/0?ssl_ca_certs=/ca.pem", "option 'ssl_ca_certs' is for rediss://"),
        ("unix:///run/s?ssl_keyfile=/k", "option 'ssl_keyfile' is for rediss://"),
    ],
)
def test_what_is_no_address_of_redis_is_refused_with_the_setting(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^redis\.url: ") as refused:
        configured(url=address)
    assert said in str(refused.value)


@pytest.mark.parametrize("password", ["plain", "with@sign/and?mark#", "a:b", "p%40ss", "100%", "/", "@"])
def test_whatever_stands_in_a_password_the_client_library_reads_it_as_one(password: str) -> None:
    client = connected(f"redis://me:{password}@127.0.0.1:1/3", connect_timeout_seconds=1, timeout_seconds=1)
    read = client.connection_pool.connection_kwargs
    assert (read["username"], read["password"]) == ("me", unquote(password))
    assert (read["host"], read["port"], read["db"]) == ("127.0.0.1", 1, 3)


@pytest.mark.parametrize(
    "address", ["redis://me:canary@host:99999/0", "redis:/:canary@host/0", "rediss:me:canary@host"]
)
def test_a_password_is_shown_neither_in_a_refusal_nor_in_the_settings(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        configured(url=address)
    assert "canary" not in str(refused.value)
    assert "canary" not in dump(configured(url="redis://me:canary@host/0?db=1"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_length": None}, "redis.max_length, redis.max_age_seconds: both are null"),
        ({"kinds": []}, "redis.kinds"),
        ({"kinds": ["tracks", "tracks"]}, "redis.kinds: tracks stands there twice"),
        ({"kinds": ["audio"]}, "redis.kinds"),
        ({"prefix": "with space"}, "redis.prefix"),
        ({"prefix": "*"}, "redis.prefix"),
        ({"spool_mb": 0}, "redis.spool_mb"),
    ],
)
def test_settings_that_could_not_work_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        configured(url="redis://host", **settings)


def test_without_an_address_there_is_no_redis() -> None:
    assert configured(max_length=None).redis.url is None


def test_which_addresses_are_meant_for_redis() -> None:
    assert all(map(is_redis, ("redis://h", "REDISS://h", "unix:///p")))
    assert not any(map(is_redis, ("tcp://h:1", "ipc://p", "redis.example.com:5560", "")))
