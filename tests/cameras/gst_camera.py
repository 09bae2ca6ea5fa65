"""Somebody else's RTSP server to be tested against: gst-rtsp-server, in a process of its own."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

# The bindings come as Debian packages, which only the system's own interpreter sees.
_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("gst_server.py")
_ELEMENTS = ("qtdemux", "h264parse", "rtph264pay")
_PROBE = f"""
import gi
for name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import Gst, GstRtsp, GstRtspServer
Gst.init(None)
raise SystemExit(not all(Gst.ElementFactory.find(name) for name in {_ELEMENTS}))
"""


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Whether the server, its bindings and the elements it is given are installed."""
    try:
        return subprocess.run([_PYTHON, "-c", _PROBE], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


class GstCamera:
    """Serves the H.264 of an MP4 file at `/stream`; a context manager that leaves no process behind."""

    def __init__(self, path: Path, *, user: str | None = None, password: str = "") -> None:
        environment = {**os.environ, "CAMERA_PASSWORD": password}
        if user is not None:
            environment["CAMERA_USER"] = user
        self._process = subprocess.Popen(
            [_PYTHON, str(_SCRIPT), str(path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self.close()
            raise RuntimeError("gst-rtsp-server did not start; its error output is above")
        self.port = int(port)
        who = "" if user is None else f"{quote(user, safe='')}:{quote(password, safe='')}@"
        self.url = f"rtsp://{who}127.0.0.1:{self.port}/stream"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
