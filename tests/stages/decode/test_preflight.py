"""Calling on an RTSP camera before it is opened."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import SourceError, SourceNotFound, SourceUnauthorized, SourceUnreachable, SourceUnsupported
from stages.decode.preflight import Called, call_on
from stages.decode.rtsp_dialogue import Place
from tests.cameras import RtspCamera, numbered_video
from tests.reading import chained_texts, read_source
from tests.require import skip_without

Serve = Callable[[socket.socket], None]

SLASHED = "rtsp://viewer:canary/secret@127.0.0.1/a"


@contextmanager
def listening(serve: Serve, *, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that does `serve` with each client, one in a thread."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client, suppress(OSError):
                serve(client)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def called(url: str, **settings: object) -> Called:
    return call_on(SourceConfig(**{"url": url, "source_id": "cam", "open_timeout_seconds": 5.0, **settings}), url)


def says(*answers: bytes) -> Serve:
    """Answers each request with the next of these, then hangs up."""

    def serve(client: socket.socket) -> None:
        for text in answers:
            client.recv(4096)
            client.sendall(text)

    return serve


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), SourceUnreachable, "answered with nothing that can be read"),
        ((b"SSH-2.0-x\r\n\r\n",), SourceUnreachable, "answered with nothing that can be read"),
        ((b"RTSP/1.0 200",), SourceUnreachable, "answered with nothing that can be read"),
        ((), SourceUnreachable, "answered with nothing that can be read"),
        ((b"RTSP/1.0 200 OK\r\n\r\n", b"RTSP/1.0 418 No\r\n\r\n"), SourceUnreachable, "refused the request (4xx)"),
        ((b"RTSP/1.0 401 No\r\n\r\n",), SourceUnauthorized, "none is in the address"),
        ((b"RTSP/1.0 302 Go\r\n\r\n",), SourceNotFound, "sends whoever asks to nowhere (302)"),
    ],
)
def test_answers_that_are_none(answers: tuple[bytes, ...], kind: type[SourceError], text: str) -> None:
    with listening(says(*answers)) as port, pytest.raises(kind) as caught:
        called(f"rtsp://127.0.0.1:{port}/a")
    assert text in str(caught.value)


def test_a_camera_that_says_nothing_is_given_up_in_time() -> None:
    done = threading.Event()
    with listening(lambda client: done.wait() and None) as port, pytest.raises(SourceUnreachable) as caught:
        called(f"rtsp://127.0.0.1:{port}/a", open_timeout_seconds=0.3)
    done.set()
    assert str(caught.value).endswith("did not answer within 0.3 s")


def test_where_an_address_leads_is_not_told_where_it_names_no_host() -> None:
    with pytest.raises(SourceNotFound) as caught:
        called(SLASHED)  # by another name, since a traceback quotes this line
    assert not [text for text in chained_texts(caught.value) if "canary" in text or "secret" in text]


@pytest.mark.parametrize(
    ("address", "host", "port", "uri"),
    [
        ("rtsp://h/a?b=1#c", "h", 554, "rtsp://h/a?b=1"),
        ("RTSPS://u:p@h", "h", 322, "rtsps://h"),
        ("rtsp://u:p@x@[::1]:8554/a b", "::1", 8554, "rtsp://[::1]:8554/a b"),
        ("rtsp://h/a\x01\x0b", "h", 554, "rtsp://h/a"),
    ],
)
def test_addresses_as_ffmpeg_reads_them(address: str, host: str, port: int, uri: str) -> None:
    place = Place.of(address)
    assert (place.host, place.port, place.uri, place.tls) == (host, port, uri, address.lower().startswith("rtsps"))


def test_credentials_are_decoded() -> None:
    known = Place.of("rtsp://us%40er:p%3Aw@h/a").credentials
    assert known is not None
    assert (known.user, known.password) == ("us@er", "p:w")


def test_neither_an_address_nor_an_answer_begins_another_header() -> None:
    heard: list[bytes] = []
    challenge = b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="r\x0bX: 1", nonce="n\rX: 2"\r\n\r\n'

    def serve(client: socket.socket) -> None:
        for answer in (challenge, challenge):
            heard.append(client.recv(4096))
            client.sendall(answer)

    with listening(serve) as port, pytest.raises(SourceUnauthorized):
        called(f"rtsp://u%0d%0aX: 3:p%0aX: 4@127.0.0.1:{port}/a\x0c?b=%0aX:")
    assert len(heard) == 2
    for request in heard:
        assert not [line for line in request.splitlines() if line.startswith(b"X")]


def test_over_ipv6(rtsp_camera: Callable[..., RtspCamera]) -> None:
    camera = rtsp_camera(numbered_video(10, fps=100), user="u", password="p")

    def relay(client: socket.socket) -> None:
        _relay(client, camera.port)

    try:
        with listening(relay, host="::1") as port:
            assert len(read_source(f"rtsp://u:p@[::1]:{port}/stream", max_frames=2).frames) == 2
    except OSError:
        skip_without("ipv6", lacking="an IPv6 loopback")


def test_over_tls(rtsp_camera: Callable[..., RtspCamera], tmp_path: Path) -> None:
    """Whose certificate it is does not matter; the password is tried once here too."""
    if shutil.which("openssl") is None:
        skip_without("openssl", lacking="openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    camera = rtsp_camera(numbered_video(10, fps=100), user="u", password="p")

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as safe:
            _relay(safe, camera.port)

    with listening(serve) as port:
        assert len(read_source(f"rtsps://u:p@127.0.0.1:{port}/stream", max_frames=2).frames) == 2
        before = camera.statistics.connections
        with pytest.raises(SourceUnauthorized):
            read_source(f"rtsps://u:canary@127.0.0.1:{port}/stream")
        assert camera.statistics.connections == before + 1
    plain = says(b"RTSP/1.0 400 Bad Request\r\n\r\n")
    with listening(plain) as port, pytest.raises(SourceUnsupported, match="speaks no TLS"):
        called(f"rtsps://u:p@127.0.0.1:{port}/stream", open_timeout_seconds=60)


def _relay(client: socket.socket, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as camera:
        back = threading.Thread(target=_pump, args=(camera, client), daemon=True)
        back.start()
        _pump(client, camera)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_what_it_took_is_taken_off_what_ffmpeg_gets() -> None:
    source = SourceConfig(url="rtsp://h/a", open_timeout_seconds=4.0)
    for took, left in ((0.0, 4.0), (2.0, 3.0), (4.0, 2.0), (30.0, 2.0)):  # 30 s: a resolver that none can hurry
        assert Called(source, frozenset(), frozenset(), took).seconds_left == left
