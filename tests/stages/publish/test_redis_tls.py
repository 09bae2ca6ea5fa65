"""Redis over TLS, as users that may do no more than they must; a server that is not the right one is told nothing."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from pipeline.client import Subscriber
from pipeline.config import RedisConfig
from pipeline.errors import EveryframeError, SinkError, UsageError
from stages.publish.redis import RedisSink
from tests.certificates import Authority, Pair
from tests.redis_server import RedisServer, has_tls
from tests.require import skip_without
from tests.stages.publish.streams import frames_of, put_results, settled, until

Start = Callable[..., RedisServer]
PATIENCE_SECONDS = 30.0
PASSWORD = "canary7/hunter2?#@"
PIECES = ("canary7", "hunter2")  # not a word of it is to be shown
PAGE = Path(__file__).parents[3] / "stages" / "publish" / "README.md"
USERS = re.findall(r"^ACL SETUSER (writer|reader) on >PASSWORD (.+)$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign("redis", valid_for="IP:127.0.0.1")


@pytest.fixture
def tls_server(redis_server: Start, pair: Pair) -> Start:
    """Start a server that speaks TLS and lets nobody in over it but `writer` and `reader`."""

    def start(tls: Pair = pair, **settings: str) -> RedisServer:
        if not has_tls():
            skip_without("redis", lacking="a redis-server built with TLS")
        server = redis_server(tls=tls, **settings)
        assert [user for user, _ in USERS] == ["writer", "reader"]
        for user, rules in USERS:
            server.client.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", *rules.split())
        return server

    return start


def url_of(server: RedisServer, user: str, *files: str, password: str = PASSWORD) -> str:
    return f"rediss://{user}:{password}@127.0.0.1:{server.tls_port}/0?{'&'.join(files)}"


def trusting(authority: Authority) -> str:
    return f"ssl_ca_certs={authority.pair.certificate}"


def sink_at(url: str, folder: Path) -> RedisSink:
    return RedisSink(RedisConfig(url=url, max_age_seconds=3600), folder / "spool", session=7)


def refusals(url: str, folder: Path) -> list[str]:
    """What a sink and a reader say, each of which must refuse to begin."""
    told: list[EveryframeError] = []
    with pytest.raises((SinkError, UsageError)) as refused:
        sink_at(url, folder)
    told.append(refused.value)
    with pytest.raises(UsageError) as refused, Subscriber(url, "door/tracks") as subscriber:
        subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
    told.append(refused.value)
    for text in map(str, told):
        assert "\n" not in text
        assert not any(piece in text for piece in PIECES)
    return list(map(str, told))


def test_results_are_stored_and_read_by_users_that_may_do_little(
    tls_server: Start, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tls_server()
    monkeypatch.setenv("REDIS", PASSWORD)
    with sink_at(url_of(server, "writer", trusting(authority), password="${REDIS}"), tmp_path) as sink:
        put_results(sink, range(20))
        until(lambda: settled(sink))
        assert sink.progress().delivered == {"door": 20}
        assert sink.complaints() == []
        address = url_of(server, "reader", trusting(authority), password="${REDIS}")
        readers: list[dict[str, str]] = [{}, {"group": "billing"}, {"group": "billing 2", "consumer": "one"}]
        for keywords in readers:
            with Subscriber(address, "*/tracks", start="beginning", timeout_seconds=60, **keywords) as subscriber:
                assert [result.seq for result in islice(subscriber, 20)] == list(range(20))
    assert frames_of(server) == [(1, seq, True) for seq in range(20)]
    denied = {entry["object"] for entry in server.client.acl_log()}
    assert denied <= {"config|get"}  # INFO is asked instead


def test_a_password_is_taken_as_it_is_written(tls_server: Start, authority: Authority) -> None:
    server = tls_server()
    with Subscriber(url_of(server, "reader", trusting(authority)), "door/tracks") as subscriber:
        assert subscriber.receive(timeout_seconds=0.1) is None


def test_a_reader_over_tls_ends_when_it_is_closed(tls_server: Start, authority: Authority) -> None:
    server = tls_server()
    subscriber = Subscriber(url_of(server, "reader", trusting(authority)), "door/tracks")
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.extend(subscriber.items()))
    thread.start()
    until(lambda: any(client["name"] == "everyframe" for client in server.client.client_list()))
    subscriber.close()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert came == []


def test_an_authority_that_nobody_named_is_not_believed(
    tls_server: Start, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = tls_server()
    other = Authority(tmp_path_factory.mktemp("other"), name="other")
    for files in ([], [trusting(other)]):
        for told in refusals(url_of(server, "writer", *files), tmp_path):
            assert "its certificate is not believed: unable to get local issuer certificate" in told
            assert "is named by ?ssl_ca_certs=/PATH/ca.pem" in told


def test_a_certificate_for_another_host_is_not_believed(
    tls_server: Start, authority: Authority, tmp_path: Path
) -> None:
    server = tls_server(authority.sign("elsewhere", valid_for="DNS:redis.example.com"))
    for told in refusals(url_of(server, "writer", trusting(authority)), tmp_path):
        assert "its certificate is not believed: IP address mismatch" in told
        assert "ssl_ca_certs" not in told  # which would mend nothing


def test_a_wrong_password_is_refused(tls_server: Start, authority: Authority, tmp_path: Path) -> None:
    server = tls_server()
    for told in refusals(url_of(server, "writer", trusting(authority), password=PASSWORD[:-1]), tmp_path):
        assert "invalid username-password pair" in told


def test_a_server_that_asks_for_a_certificate_gets_ours(
    tls_server: Start, authority: Authority, tmp_path: Path
) -> None:
    server = tls_server(**{"tls-auth-clients": "yes", "tls-ca-cert-file": str(authority.pair.certificate)})
    ours = authority.sign("writer", valid_for="DNS:writer")
    files = [trusting(authority), f"ssl_certfile={ours.certificate}", f"ssl_keyfile={ours.key}"]
    with sink_at(url_of(server, "writer", *files), tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: settled(sink))
        assert sink.progress().delivered == {"door": 3}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["ssl_ca_certs=/no/such.pem"], "ssl_ca_certs: /no/such.pem cannot be read: No such file or directory"),
        (["ssl_ca_certs={key}"], "ssl_ca_certs: {key} cannot be read: no certificate or crl found"),
        (["ssl_certfile={certificate}"], "ssl_certfile: {certificate} with its key, which must have no password,"),
        (["ssl_certfile={certificate}", "ssl_keyfile={other}"], "{other}, which must have no password, cannot be read"),
        (["ssl_keyfile={key}"], "ssl_keyfile: not without ssl_certfile"),
    ],
)
def test_files_that_are_no_certificates_are_named_before_anything_connects(
    files: list[str], said: str, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    names = {"certificate": pair.certificate, "key": pair.key, "other": authority.pair.key}
    address = "rediss://me:canary7hunter2@127.0.0.1:1/0?" + "&".join(files).format(**names)
    for told in refusals(address, tmp_path):
        assert said.format(**names) in told


def test_a_key_under_a_password_is_refused_and_nobody_is_asked_for_it(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    address = f"rediss://127.0.0.1:1/0?ssl_certfile={pair.certificate}&ssl_keyfile={locked}"
    for told in refusals(address, tmp_path):
        assert f"{locked}, which must have no password, cannot be read" in told
