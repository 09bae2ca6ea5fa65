"""Sources and playlists that try to read another file or to reach another host: none of them does.

The canary's file tells whoever opens or reads it (inotify), its pictures can be told from all others; its host tells of
every connection and every datagram. The controls show that both notice: plain FFmpeg falls for the same inputs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.errors import EveryframeError, SourceError, SourceNotFound, SourceUnsupported
from tests.cameras import Behaviour, numbered_video, read_number
from tests.cameras.messages import Request, Response
from tests.faults import attacks
from tests.faults.canary import FIRST, HOST, CanaryFile, CanaryHost
from tests.faults.fixtures import Cameras, Seen
from tests.reading import read_source

FAULT = pytest.mark.fault(
    "a playlist, `concat:`, `subfile,`, an `.mp4` that is ffconcat",
    promise="no other file is read, no other host reached",
)
REDIRECTS = pytest.mark.fault("a camera redirects", promise="not followed; a typed error with the new address")
SECONDS = 1.5
USER, PASSWORD = "viewer", "canary-password"


@dataclass(frozen=True)
class Canary:
    """What is watched while somebody attacks."""

    file: CanaryFile
    host: CanaryHost
    folder: Path  # for the attackers' files

    def filled(self, text: str) -> str:
        """An attack with the canary's names in it."""
        for name, value in {
            "file": self.file.path,
            "folder": self.file.path.parent,
            "at": f"{HOST}:{self.host.port}",
            "host": HOST,
            "port": self.host.port,
        }.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def hits(self) -> list[str]:
        """What the canary noticed since the last time."""
        return [*self.host.was_spoken_to(), *(["its file was read"] if self.file.was_read() else [])]


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    folder = tmp_path_factory.mktemp("attacks")
    file = CanaryFile(folder / "elsewhere")
    with CanaryHost() as host:
        (folder / "own").mkdir()
        yield Canary(file, host, folder / "own")
    file.close()


def attacked(canary: Canary, address: str | Path, **settings: Any) -> list[str]:
    """What became of one attack, besides our own errors and pictures that are not the canary's."""
    found = []
    timeouts = {"open_timeout_seconds": SECONDS, "read_timeout_seconds": SECONDS}
    with suppress(EveryframeError):
        frames = read_source(address, max_frames=2, **{**timeouts, **settings}).frames
        numbers = [read_number(frame.surface.planes[0]) for frame in frames]
        found = [f"picture {number} of its file" for number in numbers if number is not None and number >= FIRST]
    return [f"{address}: {hit}" for hit in (*found, *canary.hits())]


@FAULT
def test_lists_that_are_files(canary: Canary, seen: Seen) -> None:
    for name, text in attacks.LISTS.items():
        path = canary.folder / name
        path.write_text(canary.filled(text))
        assert not attacked(canary, path)
    seen(f"{len(attacks.LISTS)} playlists and descriptions, under their own and other names: 0 hits")


@FAULT
def test_recordings_that_name_others(canary: Canary, seen: Seen) -> None:
    recording, address = canary.file.path.read_bytes(), f"http://{HOST}:{canary.host.port}/a.mp4"
    assert canary.hits()
    playlist = canary.filled(attacks.hls("{file}"))
    written = {
        "alias.mov": attacks.without_own_video(recording, attacks.alias(canary.file.path)),
        "location.mov": attacks.without_own_video(recording, attacks.location(address)),
        "file.mp4": attacks.without_own_video(recording, attacks.location(f"file://{canary.file.path}")),
        "gab2.avi": attacks.avi_with_list(playlist),
        "behind.ts": b"\x47" + bytes(187) + playlist.encode(),
        "before.mp4": playlist.encode() + recording[:64],
        "behind.mxf": bytes.fromhex("060e2b34020501010d01020101020400") + playlist.encode(),
    }
    for name, data in written.items():
        path = canary.folder / name
        path.write_bytes(data)
        hits = attacked(canary, path)
        # The copies hold the canary's pictures themselves; what matters is that they are read from nowhere else.
        assert not [hit for hit in hits if "picture" not in hit]
    seen(f"{len(written)} recordings with data references, embedded playlists and the like: 0 hits")


@FAULT
def test_addresses(canary: Canary, seen: Seen) -> None:
    for text in attacks.ADDRESSES:
        assert not attacked(canary, canary.filled(text))
    seen(f"{len(attacks.ADDRESSES)} addresses of other protocols, patterns and mixtures: 0 hits")


@FAULT
def test_names_of_files_that_read_as_protocols(canary: Canary, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(canary.file.path.parent)  # where the canary's mere name would do
    for text in attacks.NAMES:
        name = canary.filled(text).replace("{name}", canary.file.path.name)
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(canary.filled(attacks.hls("{file}")))
        assert not attacked(canary, name)
    seen(f"{len(attacks.NAMES)} files called 'concat:...' and the like: read under their own names, 0 hits")


class Answers(ThreadingHTTPServer):
    """An HTTP camera that answers each path with a status, headers and a body."""

    daemon_threads = True

    def __init__(self, answers: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        self.answers = answers
        super().__init__(("127.0.0.1", 0), Answering)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Answering(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        status, headers, body = self.server.answers[self.path.removeprefix("/")]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Tests are quiet."""


def http_answers(canary: Canary) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """What the camera says, by path."""
    at, file = f"{HOST}:{canary.host.port}", canary.file.path
    moved = {
        "302": (302, f"http://{at}/a"),
        "301": (301, f"http://{at}/a"),
        "303": (303, f"//{at}/a"),
        "307": (307, f"https://{at}/a"),
        "308": (308, f"http://{USER}:{PASSWORD}@{at}/a"),
        "302-to-a-file": (302, f"file://{file}"),
        "302-to-a-path": (302, str(file)),
        "302-to-rtsp": (302, f"rtsp://{at}/a"),
        "302-to-concat": (302, f"concat:{file}"),
    }
    bodies = {
        "list.m3u8": ("application/vnd.apple.mpegurl", attacks.hls("{file}")),
        "hls.ts": ("video/mp2t", attacks.hls("http://{at}/a.ts")),
        "hls.mjpg": ("multipart/x-mixed-replace; boundary=frame", attacks.hls("http://{at}/a.ts")),
        "concat": ("video/mp4", attacks.concat("{file}")),
        "sdp": ("application/sdp", attacks.SDP),
        "mpd": ("application/dash+xml", attacks.mpd("http://{at}/a.mp4")),
        "asx": ("video/x-ms-asf", attacks.LISTS["list.asx"]),
    }
    answers = {name: (status, {"Location": to}, b"") for name, (status, to) in moved.items()}
    for name, (kind, text) in bodies.items():
        headers = {"Content-Type": kind, "Refresh": f"0; url=http://{at}/a", "Content-Location": f"http://{at}/b"}
        answers[name] = (200, headers, canary.filled(text).encode())
    recording = attacks.without_own_video(file.read_bytes(), attacks.location(f"http://{at}/a"))
    answers["dref.mp4"] = (200, {"Content-Type": "video/mp4"}, recording)
    assert canary.hits()
    return answers


@pytest.fixture
def http_camera(canary: Canary) -> Iterator[Answers]:
    with Answers(http_answers(canary)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@FAULT
def test_what_an_http_camera_answers(canary: Canary, http_camera: Answers, seen: Seen) -> None:
    for name in http_camera.answers:
        hits = attacked(canary, http_camera.url(name))
        assert not [hit for hit in hits if "picture" not in hit or name != "dref.mp4"]
    seen(f"{len(http_camera.answers)} redirects, playlists and descriptions from an HTTP camera: 0 hits")


@REDIRECTS
def test_an_http_redirect_is_told(http_camera: Answers, seen: Seen) -> None:
    with pytest.raises(SourceError, match="a redirect is not followed") as caught:
        read_source(http_camera.url("302"), open_timeout_seconds=SECONDS)
    seen(str(caught.value).partition("; ")[2])


class Answered(Behaviour):
    """A camera whose answers are changed before they are sent, from the call with that number on."""

    def __init__(self, change: Callable[[Request, Response], Response | None], *, after_calls: int = 0) -> None:
        super().__init__()
        self._change, self._calls_left = change, after_calls

    def respond(self, request: Request, response: Response) -> Response | None:
        if self._calls_left:
            self._calls_left -= request.method == "DESCRIBE" and response.status == 200
            return response
        return self._change(request, response) or response


def redirect(method: str, status: int, to: str) -> Callable[[Request, Response], Response | None]:
    """The camera answers a method, once it is asked by somebody it knows, with another address."""
    return lambda request, response: (
        Response(status, {"Location": to}) if request.method == method and response.status == 200 else None
    )


def said(method: str, change: Callable[[Response], None]) -> Callable[[Request, Response], Response | None]:
    """What the camera answers to a method, changed."""

    def answer(request: Request, response: Response) -> Response | None:
        if request.method == method and response.status == 200:
            change(response)
        return None

    return answer


def header(name: str, value: str) -> Callable[[Response], None]:
    return lambda response: response.headers.update({name: value})


def transport(text: str) -> Callable[[Response], None]:
    """More in the answer to SETUP, in place of the camera's own ports."""

    def change(response: Response) -> None:
        own = response.headers["Transport"].partition(";server_port")[0]
        response.headers["Transport"] = f"{own};{text}"

    return change


def body(before: bytes, after: str) -> Callable[[Response], None]:
    def change(response: Response) -> None:
        assert before in response.body
        response.body = response.body.replace(before, after.encode())

    return change


def rtsp_attacks(canary: Canary) -> dict[str, Callable[[Request, Response], Response | None]]:
    """What the camera does, by name."""
    at, port = f"{HOST}:{canary.host.port}", canary.host.port
    found = {
        f"{method} {status}": redirect(method, status, f"rtsp://{at}/x")
        for method in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")
        for status in (301, 302, 305)
    }
    source = f"source={HOST};server_port={port}-{port + 1}"
    return found | {
        "with credentials": redirect("DESCRIBE", 302, f"rtsp://{USER}:{PASSWORD}@{at}/x"),
        "to TLS": redirect("DESCRIBE", 307, f"rtsps://{at}/x"),
        "to HTTP": redirect("DESCRIBE", 302, f"http://{at}/x"),
        "to a file": redirect("DESCRIBE", 302, f"file://{canary.file.path}"),
        "to a path": redirect("OPTIONS", 302, str(canary.file.path)),
        "to nowhere": redirect("DESCRIBE", 302, ""),
        "Content-Base": said("DESCRIBE", header("Content-Base", f"rtsp://{at}/x/")),
        "Content-Location": said("DESCRIBE", header("Content-Location", f"rtsp://{at}/x/")),
        "control": said("DESCRIBE", body(b"a=control:track=0", f"a=control:rtsp://{at}/x/track=0")),
        "control of all": said("DESCRIBE", body(b"a=control:*", f"a=control:rtsp://{at}/x/")),
        "connection": said("DESCRIBE", body(b"c=IN IP4 0.0.0.0", f"c=IN IP4 {HOST}")),
        "connection and port": said("DESCRIBE", body(b"m=video 0", f"c=IN IP4 {HOST}\r\nm=video {port}")),
        "source": said("SETUP", transport(source)),
        "source in capitals": said("SETUP", transport(source.upper())),
        "destination": said("SETUP", transport(f"destination={HOST};server_port={port}-{port + 1}")),
        "RTP-Info": said("PLAY", header("RTP-Info", f"url=rtsp://{at}/x;seq=1;rtptime=0")),
        "a playlist": said("DESCRIBE", lambda response: setattr(response, "body", canary.filled(LIST).encode())),
    }


LIST = attacks.hls("{file}")


@FAULT
@pytest.mark.parametrize("over", ["tcp", "udp"])
def test_what_an_rtsp_camera_answers(canary: Canary, rtsp_camera: Cameras, seen: Seen, over: str) -> None:
    video = numbered_video(10, fps=50)
    camera = rtsp_camera(video)
    behaviours = rtsp_attacks(canary)
    for number, (name, change) in enumerate(behaviours.items()):
        url = camera.add(video, path=f"/{number}", user=USER, password=PASSWORD, behaviour=Answered(change))
        assert not attacked(canary, url, transport=over), name
    seen(f"{len(behaviours)} redirects, addresses in answers and descriptions, over {over}: 0 hits")


@REDIRECTS
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_an_rtsp_redirect_is_told(canary: Canary, rtsp_camera: Cameras, seen: Seen, method: str) -> None:
    to = f"rtsp://{USER}:other-canary@{HOST}:{canary.host.port}/new?token=third-canary"
    camera = rtsp_camera(user=USER, password=PASSWORD, behaviour=Answered(redirect(method, 302, to)))
    with pytest.raises(SourceNotFound) as caught:
        read_source(camera.url, open_timeout_seconds=SECONDS)
    assert f"to rtsp://***@{HOST}:{canary.host.port}/new?*** (302), which is not followed" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert camera.statistics.connections == 1
    assert not canary.hits()
    seen(str(caught.value).partition(" sends ")[2])


@REDIRECTS
def test_another_host_as_the_source_of_media_is_told(canary: Canary, rtsp_camera: Cameras, seen: Seen) -> None:
    port = canary.host.port
    change = said("SETUP", transport(f"source={HOST};server_port={port}-{port + 1}"))
    camera = rtsp_camera(behaviour=Answered(change))
    with pytest.raises(SourceUnsupported, match="names another host") as caught:
        read_source(camera.url, transport="udp", open_timeout_seconds=SECONDS)
    assert camera.statistics.requests["TEARDOWN"] == 1  # what was set up to ask is given up again
    assert not canary.hits()
    seen(str(caught.value).partition(" names ")[2])


@REDIRECTS
def test_a_redirect_only_when_asked_again(rtsp_camera: Cameras, seen: Seen) -> None:
    """The first answer is good, and FFmpeg gets another one: it cannot be kept from going there, but not a frame
    of what it found there is taken."""
    other = rtsp_camera(numbered_video(10, fps=50, first=FIRST))
    change = redirect("DESCRIBE", 302, other.url)
    camera = rtsp_camera(numbered_video(10, fps=50), behaviour=Answered(change, after_calls=1))
    with pytest.raises(SourceNotFound, match="sent FFmpeg to another address when it was asked again"):
        read_source(camera.url, max_frames=1)
    seen("FFmpeg was redirected at the second answer: found out, closed, NOT_FOUND, no frame taken")


@FAULT
def test_the_canary_notices(canary: Canary, rtsp_camera: Cameras, seen: Seen) -> None:
    """Plain FFmpeg, told nothing, falls for one of each kind."""
    listed = canary.folder / "control.mp4"
    listed.write_text(canary.filled(attacks.concat("{file}")))
    file, at = canary.file.path, f"{HOST}:{canary.host.port}"
    camera = rtsp_camera(behaviour=Answered(redirect("DESCRIBE", 302, f"rtsp://{at}/x")))
    source = said("SETUP", transport(f"source={HOST};server_port={canary.host.port}-{canary.host.port + 1}"))
    with Answers({"302": (302, {"Location": f"http://{at}/a"}, b"")}) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        controls: dict[str, dict[str, str]] = {
            str(listed): {"safe": "0"},
            f"concat:{file}|{file}": {},
            f"subfile,,start,0,end,0,,:{file}": {},
            server.url("302"): {},
            camera.url: {"rtsp_transport": "tcp"},
            rtsp_camera(behaviour=Answered(source)).url: {"rtsp_transport": "udp"},
        }
        for address, options in controls.items():
            with suppress(av.error.FFmpegError), av.open(address, options=options, timeout=(SECONDS, SECONDS)):
                pass
            assert canary.hits(), address
        server.shutdown()
    seen(f"plain FFmpeg, to compare: {len(controls)} of {len(controls)} hits, files and hosts")
