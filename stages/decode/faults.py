"""FFmpeg's errors as ours, translated once, here.

FFmpeg's error classes lie: a timeout comes as InvalidDataError, ExitError, PermissionError or OSError (all measured).
So a fault is told by what was being done and by the clock; classes count only where a status code of the server made
them. No foreign text is kept that could hold the address, and none is chained: PyAV puts the password into all of it.
"""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit

import av.error

from pipeline.config import SourceConfig, is_live, scrub
from pipeline.errors import (
    NoDecodableFrames,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)

# What PyAV raises on hostile input (measured on mutated files: UnicodeDecodeError, IndexError, OverflowError among
# them), which is more than FFmpegError and less than every Exception.
FOREIGN: tuple[type[Exception], ...] = (
    av.error.FFmpegError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    TypeError,
    AssertionError,
    MemoryError,
)

_BY_STATUS: dict[type[Exception], tuple[type[SourceError], str]] = {
    av.error.HTTPUnauthorizedError: (SourceUnauthorized, "refused the user or the password (401); check both"),
    av.error.HTTPForbiddenError: (SourceUnauthorized, "forbids this user to see the stream (403)"),
    av.error.HTTPNotFoundError: (SourceNotFound, "knows no such stream (404); check the path"),
    av.error.HTTPBadRequestError: (SourceUnsupported, "calls the request bad (400); check the address"),
    av.error.HTTPOtherClientError: (SourceUnreachable, "refused the request (4xx)"),
    av.error.HTTPServerError: (SourceUnreachable, "failed inside (5xx)"),
}

_PROTOCOL_NOT_SUPPORTED = errno.EPROTONOSUPPORT  # what FFmpeg makes of 461, Unsupported Transport
TIMEOUT_SLACK = 0.95  # of the timeout: FFmpeg looks at the clock every 100 ms, and rounds


def named(source: SourceConfig) -> str:
    """How messages name a source: by its id, and by its address without credentials."""
    return f"{source.source_id}: {source.shown}" if source.source_id else source.shown


def opening_fault(exc: Exception, *, source: SourceConfig, address: str, elapsed_seconds: float) -> SourceError:
    """Why the source could not be opened."""
    who = named(source)
    if not is_live(address):
        # EINVAL is how FFmpeg says that the format is not on the list of `options`.
        hint = "; playlists and lists of files are not followed" if isinstance(exc, av.error.ArgumentError) else ""
        return SourceUnsupported(f"{who} is no video that can be read: {reason(exc, address)}{hint}")
    if isinstance(exc, av.error.HTTPUnauthorizedError) and "@" not in address:
        return SourceUnauthorized(f"{who} asks for a user and a password (401); none is in the address")
    for status, (kind, text) in _BY_STATUS.items():
        if isinstance(exc, status):
            return kind(f"{who} {text}")
    if elapsed_seconds >= TIMEOUT_SLACK * source.open_timeout_seconds:
        return SourceUnreachable(f"{who} did not answer within {source.open_timeout_seconds:g} s")
    if isinstance(exc, av.error.ConnectionRefusedError):
        return SourceUnreachable(f"{who} refused the connection; check that it is on, and the port")
    if not resolves(address):
        return SourceNotFound(f"{who} names a host that does not resolve; check its spelling and the network's DNS")
    if isinstance(exc, av.error.InvalidDataError | av.error.LookupError):
        return SourceUnsupported(f"{who} answered with no video stream that can be read: {reason(exc, address)}")
    if isinstance(exc, av.error.FFmpegError) and exc.errno == _PROTOCOL_NOT_SUPPORTED:
        other = "udp" if source.transport == "tcp" else "tcp"
        return SourceUnsupported(f"{who} does not send over {source.transport}; try transport: {other}")
    return SourceUnreachable(f"{who} could not be connected: {reason(exc, address)}")


def reading_fault(*, source: SourceConfig, frames: int, silent_seconds: float | None) -> SourceError:
    """Why a live source that had opened gives no more frames: after how long a silence, or None where it hung up."""
    who = named(source)
    if frames == 0:
        what = (
            "hung up before the first frame" if silent_seconds is None else f"gave no frame in {silent_seconds:.1f} s"
        )
        return NoDecodableFrames(f"{who} opened, but {what}; it may send no keyframe, or no video")
    if silent_seconds is None:
        return SourceUnreachable(f"{who} closed the connection after {frames} frames")
    return SourceUnreachable(f"{who} sent no picture for {silent_seconds:.1f} s after {frames} frames")


def reason(exc: Exception, address: str) -> str:
    """What went wrong in FFmpeg's words, without the address: only the text of the error code is taken."""
    text = exc.strerror if isinstance(exc, av.error.FFmpegError) else None
    return scrub(text, address) if text else type(exc).__name__


def resolves(address: str) -> bool:
    """Whether the host of an address has one of its own; asked anew each time."""
    try:
        host = urlsplit(address).hostname
        return bool(host and socket.getaddrinfo(host, None))
    except (OSError, ValueError):  # gaierror; a host that is no host
        return False
