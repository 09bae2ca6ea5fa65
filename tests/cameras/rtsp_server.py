"""A scripted RTSP camera: H.264 over interleaved TCP or UDP, on the loopback, at the pace of a real one.

::

    with RtspCamera(numbered_video(), path="/door", user="admin", password="secret") as camera:
        reader = open_source(SourceConfig(url=camera.url), next_epoch=...)

One server has as many paths as `add` gave it; each path has its video, its credentials and its `Behaviour`.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from tests.cameras.authentication import Credentials
from tests.cameras.behaviour import Behaviour
from tests.cameras.h264 import H264Video
from tests.cameras.messages import Request, Response, read_request
from tests.cameras.rtp import CLOCK_RATE, PAYLOAD_TYPE
from tests.cameras.session import DatagramTransport, InterleavedTransport, MediaSession, MulticastTransport, Transport

HOST = "127.0.0.1"
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_SESSION_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Mount:
    """What one path serves."""

    video: H264Video
    credentials: Credentials | None
    behaviour: Behaviour


@dataclass(slots=True)
class Statistics:
    """What has happened to a camera so far."""

    connections: int = 0
    requests: Counter[str] = field(default_factory=Counter)  # by method
    playing: int = 0


class RtspCamera:
    """A server with one path or several; a context manager that leaves no thread and no socket behind."""

    def __init__(
        self,
        video: H264Video,
        *,
        path: str = "/stream",
        user: str | None = None,
        password: str = "",
        scheme: Literal["digest", "basic"] = "digest",
        behaviour: Behaviour | None = None,
        port: int = 0,
    ) -> None:
        self.statistics = Statistics()
        self._mounts: dict[str, Mount] = {}
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._listener = socket.create_server((HOST, port), reuse_port=False)
        self.port: int = self._listener.getsockname()[1]
        self.url = self.add(video, path=path, user=user, password=password, scheme=scheme, behaviour=behaviour)
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name=f"rtsp-camera-{self.port}", daemon=True)
        self._thread.start()

    def add(
        self,
        video: H264Video,
        *,
        path: str,
        user: str | None = None,
        password: str = "",
        scheme: Literal["digest", "basic"] = "digest",
        behaviour: Behaviour | None = None,
    ) -> str:
        """Serve another path; its url, credentials included."""
        credentials = None if user is None else Credentials(user, password, scheme)
        self._mounts[path.rstrip("/")] = Mount(video, credentials, behaviour or Behaviour())
        return self.url_of(path, user=user, password=password)

    def url_of(self, path: str, *, user: str | None = None, password: str = "") -> str:
        """The url of a path with any credentials, right or wrong."""
        who = "" if user is None else f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return f"rtsp://{who}{HOST}:{self.port}{path}"

    def mount(self, path: str) -> Mount | None:
        """What a path serves; a track's control url belongs to its path."""
        return self._mounts.get(path.partition("/track=")[0])

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        with self._lock:
            self._closing = True
            connections = list(self._connections)
        with suppress(OSError):  # wakes accept; some systems refuse it on a listening socket
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in connections:
            connection.close()
        for connection in connections:
            connection.join()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            with self._lock:
                if self._closing:
                    client.close()
                    return
                self.statistics.connections += 1
                connection = Connection(self, client)
                self._connections.add(connection)
                connection.start()  # under the lock: what `close` finds here it joins

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)


class Connection(threading.Thread):
    """One client: its requests are answered here, its media is sent by a `MediaSession`."""

    def __init__(self, camera: RtspCamera, client: socket.socket) -> None:
        super().__init__(name=f"rtsp-client-{client.fileno()}", daemon=True)
        self._camera = camera
        self._client = client
        self._write_lock = threading.Lock()
        self._transport: Transport | None = None
        self._session: MediaSession | None = None

    def run(self) -> None:
        """Answer requests until the client or the camera hangs up."""
        try:
            with self._client, self._client.makefile("rb") as stream:
                while (request := read_request(stream)) is not None and self._answer(request):
                    pass
        except (OSError, ValueError):  # the peer went away, or in the middle of a message
            pass
        finally:
            if self._session is not None:
                self._session.close()
                self._camera.statistics.playing -= 1
            if self._transport is not None:
                self._transport.close()
            self._camera.forget(self)

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """Bytes to the client, whole, from any thread."""
        with self._write_lock:
            self._client.sendall(data)

    def _answer(self, request: Request) -> bool:
        """Whether the connection goes on."""
        self._camera.statistics.requests[request.method] += 1
        mount = self._camera.mount(request.path)
        response: Response | None = self._respond(request, mount)
        if mount is not None and response is not None:
            response = mount.behaviour.respond(request, response)
        if response is None:
            return True
        self.send(response.encode(request))
        if request.method == "PLAY" and response.status == 200 and mount is not None:
            self._play(mount)
        return request.method != "TEARDOWN"

    def _respond(self, request: Request, mount: Mount | None) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"Public": _METHODS})
        if mount is None:
            return Response(404)
        if mount.credentials is not None and not mount.credentials.accept(request):
            return Response(401, {"WWW-Authenticate": mount.credentials.challenge})
        if request.method == "DESCRIBE":
            base = f"rtsp://{HOST}:{self._camera.port}{request.path}/"
            headers = {"Content-Base": base, "Content-Type": "application/sdp"}
            return Response(headers=headers, body=describe(mount.video))
        if request.method == "SETUP":
            return self._set_up(request, mount.behaviour.group)
        if request.method in ("PLAY", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "PAUSE"):
            if self._transport is None:
                return Response(454)
            return Response(headers={"Session": self._session_id})
        return Response(501)

    @property
    def _session_id(self) -> str:
        return f"{id(self):x};timeout={_SESSION_SECONDS}"

    def _set_up(self, request: Request, group: str) -> Response:
        wanted = request.headers.get("transport", "")
        fields = _fields(wanted)
        if "interleaved" in fields:
            first = int(fields["interleaved"].partition("-")[0])
            self._transport = InterleavedTransport(self.send, channel=first)
        elif "client_port" in fields and "TCP" not in wanted:
            first = int(fields["client_port"].partition("-")[0])
            self._transport = DatagramTransport(HOST, self._client.getpeername()[0], first)
        elif "multicast" in fields and group:
            self._transport = MulticastTransport(HOST, group)
        else:
            return Response(461)
        return Response(headers={"Transport": f"{wanted};{self._transport.answer}", "Session": self._session_id})

    def _play(self, mount: Mount) -> None:
        if self._transport is None or self._session is not None:
            return
        self._camera.statistics.playing += 1
        self._session = MediaSession(
            mount.video, behaviour=mount.behaviour, transport=self._transport, hang_up=self.close
        )
        self._session.start()


def _fields(transport: str) -> dict[str, str]:
    """The parameters of the first alternative of a `Transport` header."""
    pairs = (part.partition("=") for part in transport.partition(",")[0].split(";"))
    return {name: value for name, _, value in pairs}


def describe(video: H264Video) -> bytes:
    """The SDP of a video, parameter sets included."""
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {HOST}",
        "s=scripted camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {video.codec.upper()}/{CLOCK_RATE}",
        f"a=fmtp:{PAYLOAD_TYPE} {parameter_sets(video)}",
        f"a=framerate:{float(video.fps):g}",
        "a=control:track=0",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


def parameter_sets(video: H264Video) -> str:
    """What the SDP says of the codec's parameter sets (RFC 6184, 8.1; RFC 7798, 7.1)."""
    vps, sps, pps = (base64.b64encode(nal).decode() for nal in (video.vps, video.sps, video.pps))
    if video.codec == "h265":
        return f"sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}"
    return f"packetization-mode=1;profile-level-id={video.sps[1:4].hex()};sprop-parameter-sets={sps},{pps}"
