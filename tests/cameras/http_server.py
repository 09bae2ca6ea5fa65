"""A camera that streams over HTTP: MJPEG in multipart, or MPEG-TS; on the loopback, at the pace of a real one."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer

HOST = "127.0.0.1"
BOUNDARY = "frame"
MJPEG = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
MPEG_TS = "video/mp2t"


class HttpCamera:
    """Answers every GET with `status`, and with 200 sends `parts`, `fps` of them a second, then hangs up."""

    def __init__(self, parts: Sequence[bytes], *, content_type: str, fps: float = 25.0, status: int = 200) -> None:
        self.parts = parts
        self.content_type = content_type
        self.interval_seconds = 1 / fps
        self.status = status
        self.closing = threading.Event()
        self._server = _Server(self)
        self.url = f"http://{HOST}:{self._server.server_port}/stream"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sending and listening."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, camera: HttpCamera) -> None:
        self.camera = camera
        super().__init__((HOST, 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        camera = self.server.camera
        self.send_response(camera.status)
        self.send_header("Content-Type", camera.content_type)
        self.end_headers()
        with suppress(OSError):  # the client went away
            for part in camera.parts if camera.status == 200 else ():
                self.wfile.write(part)
                if camera.closing.wait(camera.interval_seconds):
                    return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Tests are quiet."""


def mjpeg_parts(pictures: Iterable[npt.NDArray[np.uint8]]) -> list[bytes]:
    """RGB pictures [H, W, 3] as the parts of a multipart stream, one JPEG each."""
    parts = []
    for picture in pictures:
        jpeg = encode_jpeg(picture)
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        parts.append(head.encode() + jpeg + b"\r\n")
    return parts


def encode_jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """One RGB picture [H, W, 3] as JPEG."""
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
    codec.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def mpegts_parts(
    pictures: Iterable[npt.NDArray[np.uint8]], *, fps: int = 25, sound_after_seconds: float | None = None
) -> list[bytes]:
    """RGB pictures [H, W, 3] as H.264 in an MPEG transport stream, cut after every picture.

    With `sound_after_seconds` there is sound beside the pictures, which goes on for so long after the last of them.
    """
    memory = io.BytesIO()
    ends = []
    # A muxer waits for pictures to put its sound between; one that is live does not.
    with av.open(memory, "w", format="mpegts", options={"max_interleave_delta": "1"}) as container:
        stream = None
        sound = None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stream is None:
                stream = container.add_stream("libx264", rate=fps)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
                sound = None if sound_after_seconds is None else _Silence(container, fps=fps)
            for packet in stream.encode(frame):
                container.mux(packet)
            if sound is not None:
                sound.add()
            ends.append(memory.tell())
        if stream is None:
            raise ValueError("mpegts_parts was given no pictures")
        for packet in stream.encode(None):
            container.mux(packet)
        for _ in range(round((sound_after_seconds or 0) * fps)):
            assert sound is not None
            sound.add()
            ends.append(memory.tell())
    data = memory.getvalue()
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


class _Silence:
    """A sound track on which nothing is to be heard, a picture's time at once."""

    def __init__(self, container: OutputContainer, *, fps: int, rate: int = 48_000) -> None:
        self._container = container
        self._rate = rate
        self._samples = np.zeros((1, rate // fps), np.int16)
        self._stream = container.add_stream("mp2", rate=rate, layout="mono")
        self._at = 0

    def add(self) -> None:
        """The next part."""
        frame = av.AudioFrame.from_ndarray(self._samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._at
        self._at += self._samples.shape[1]
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
