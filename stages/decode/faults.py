"""FFmpeg's errors as ours, translated once, here.

FFmpeg's error classes lie: a timeout comes as InvalidDataError, ExitError, PermissionError or OSError (all measured).
So a fault is told by what was being done and by the clock; classes count only where a status code of the server made
them. No foreign text is kept that could hold the address, and none is chained: PyAV puts the password into all of it.
"""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

import av.error

from pipeline.config import SourceConfig, is_live, redact, scheme_of, scrub
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

_BY_STATUS: dict[int, tuple[type[SourceError], str]] = {
    401: (SourceUnauthorized, "refused the user or the password (401); check both"),
    403: (SourceUnauthorized, "forbids this user to see the stream (403)"),
    404: (SourceNotFound, "knows no such stream (404); check the path"),
    400: (SourceUnsupported, "calls the request bad (400); check the address"),
    499: (SourceUnreachable, "refused the request (4xx)"),
    599: (SourceUnreachable, "failed inside (5xx)"),
}
_STATUS_OF: dict[type[Exception], int] = {
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
    av.error.HTTPBadRequestError: 400,
    av.error.HTTPOtherClientError: 499,
    av.error.HTTPServerError: 599,
}
_UNSUPPORTED_TRANSPORT = 461

_PROTOCOL_NOT_SUPPORTED = errno.EPROTONOSUPPORT  # what FFmpeg makes of 461, Unsupported Transport
_TLS_PORTS = {"rtsps": 322, "https": 443}
_HANDSHAKE_SECONDS = 2.0
_MOST_SHOWN = 200  # characters of an address that a camera made up
TIMEOUT_SLACK = 0.95  # of the timeout: FFmpeg looks at the clock every 100 ms, and rounds


def named(source: SourceConfig) -> str:
    """How messages name a source: by its id, and by its address without credentials."""
    return f"{source.source_id}: {source.shown}" if source.source_id else source.shown


def opening_fault(
    exc: Exception, *, source: SourceConfig, address: str, elapsed_seconds: float, allowed_seconds: float
) -> SourceError:
    """Why the source could not be opened, by FFmpeg, which had been given so much time."""
    who = named(source)
    if not is_live(address):
        # EINVAL is how FFmpeg says that the format is not on the list of `options`.
        hint = "; playlists and lists of files are not followed" if isinstance(exc, av.error.ArgumentError) else ""
        return SourceUnsupported(f"{who} is no video that can be read: {reason(exc, address)}{hint}{of_pipes(address)}")
    for kind, status in _STATUS_OF.items():
        if isinstance(exc, kind):
            return status_fault(status, source=source, address=address)
    if elapsed_seconds >= TIMEOUT_SLACK * allowed_seconds:
        return silent_fault(source)
    if isinstance(exc, av.error.ConnectionRefusedError):
        return refused_fault(source)
    if not resolves(address):
        return unresolved_fault(source)
    if isinstance(exc, av.error.LookupError):
        return SourceUnsupported(f"{who} answered with no video stream that can be read: {reason(exc, address)}")
    if isinstance(exc, av.error.InvalidDataError):
        # Also what a connection is called that broke off in the middle of an answer, as when a camera reboots: that
        # must not count as a camera that will never have video, which is left alone for a minute.
        return unreadable_fault(source)
    if isinstance(exc, av.error.FFmpegError) and exc.errno == _PROTOCOL_NOT_SUPPORTED:
        return status_fault(_UNSUPPORTED_TRANSPORT, source=source, address=address)
    if refuses_tls(address):
        return tls_fault(source)
    # EIO is what FFmpeg makes of a redirect that it may not follow.
    moved = isinstance(exc, av.error.FFmpegError) and exc.errno == errno.EIO and address.lower().startswith("http")
    hint = "; a redirect is not followed: should it have moved, give the new address" if moved else ""
    return SourceUnreachable(f"{who} could not be connected: {reason(exc, address)}{hint}")


def status_fault(status: int, *, source: SourceConfig, address: str) -> SourceError:
    """What a status code of 400 and above means."""
    who = named(source)
    if status == 401 and "@" not in address:
        return SourceUnauthorized(f"{who} asks for a user and a password (401); none is in the address")
    if status == _UNSUPPORTED_TRANSPORT:
        other = "udp" if source.transport == "tcp" else "tcp"
        return SourceUnsupported(f"{who} does not send over {source.transport}; try transport: {other}")
    kind, text = _BY_STATUS.get(status) or _BY_STATUS[499 if status < 500 else 599]
    return kind(f"{who} {text}")


def silent_fault(source: SourceConfig) -> SourceError:
    """No answer in time."""
    return SourceUnreachable(f"{named(source)} did not answer within {source.open_timeout_seconds:g} s")


def refused_fault(source: SourceConfig) -> SourceError:
    """Nobody listens there."""
    return SourceUnreachable(f"{named(source)} refused the connection; check that it is on, and the port")


def unresolved_fault(source: SourceConfig) -> SourceError:
    """There is no such host."""
    return SourceNotFound(
        f"{named(source)} names a host that does not resolve; check its spelling and the network's DNS"
    )


def unreadable_fault(source: SourceConfig) -> SourceError:
    """What came was no answer."""
    return SourceUnreachable(f"{named(source)} answered with nothing that can be read as video")


def tls_fault(source: SourceConfig) -> SourceError:
    """A port without TLS."""
    return SourceUnsupported(
        f"{named(source)} speaks no TLS that can be agreed upon; check the port, or leave the s off"
    )


def moved_fault(status: int, location: str, *, source: SourceConfig, address: str) -> SourceError:
    """The camera sends whoever asks to another address, which is shown as far as it may be."""
    there = scrub(redact("".join(letter for letter in location if letter.isprintable())), address)
    shown = there if len(there) <= _MOST_SHOWN else f"{there[:_MOST_SHOWN]}..."
    return SourceNotFound(
        f"{named(source)} sends whoever asks to {shown or 'nowhere'} ({status}), which is not followed: give the new "
        "address, if it is the camera's"
    )


def of_pipes(address: str) -> str:
    """What to add to a message about standard input that gave nothing."""
    if scheme_of(address) != "stdin":
        return ""
    return "; what needs to be sought in, as an MP4 with its index at the end, cannot come through a pipe"


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


def refuses_tls(address: str) -> bool:
    """Whether the port takes a connection but agrees on no TLS over it.

    The port itself is asked, because FFmpeg reports a refused handshake as an end of file. Whose certificate it is
    does not matter here.
    """
    parts = urlsplit(address)
    port = _TLS_PORTS.get(parts.scheme)
    if port is None:
        return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, ValueError):  # ValueError: a port that is none
        peer = (parts.hostname or "", parts.port or port)
        with socket.create_connection(peer, timeout=_HANDSHAKE_SECONDS) as connection:
            try:
                context.wrap_socket(connection).close()
            except TimeoutError:
                return False
            except (ssl.SSLError, ConnectionError):
                return True
    return False
