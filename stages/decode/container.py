"""Opening a container: what may be opened, which stream of it is the video, and how its decoder is set."""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass

import av
import av.logging
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.config import SourceConfig, local_path, scheme_of
from pipeline.errors import SourceError, SourceNotFound, SourceUnreachable, SourceUnsupported
from stages.decode.faults import FOREIGN, named, opening_fault
from stages.decode.options import opening_options

_ONE_THREAD_PIXELS = 1920 * 1088


@dataclass(frozen=True, slots=True)
class Opened:
    """An open container and the stream to read from it."""

    container: InputContainer
    stream: VideoStream


def open_container(source: SourceConfig, address: str) -> Opened:
    """The container behind an expanded address and its video stream, ready to decode. Raises `SourceError`."""
    # FFmpeg logs addresses with their passwords; what matters comes back as an error anyway.
    av.logging.set_level(None)
    scheme = scheme_of(address)
    url = checked_file(source, address) if scheme == "file" else address
    container = _open(source, address, url, opening_options(source, scheme))
    try:
        stream = video_stream(container, source)
        set_decoder(stream, source, live=scheme != "file")
    except SourceError:
        container.close()
        raise
    return Opened(container, stream)


def _open(source: SourceConfig, address: str, url: str, options: dict[str, str]) -> InputContainer:
    started = time.monotonic()
    try:
        return av.open(
            url,
            mode="r",
            options=options,
            timeout=(source.open_timeout_seconds, source.read_timeout_seconds),
            metadata_errors="replace",  # a title in Latin-1 is no reason to refuse a video
        )
    except FOREIGN as exc:
        fault = opening_fault(exc, source=source, address=address, elapsed_seconds=time.monotonic() - started)
    # Raised out of the handler's reach, so that not even `__context__` holds PyAV's error, which has the password.
    raise fault


def checked_file(source: SourceConfig, address: str) -> str:
    """The address of a regular file with something in it, so written that FFmpeg reads no protocol into its name."""
    path = local_path(address)
    who = named(source)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFound(f"{who} does not exist") from None
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise SourceUnreachable(f"{who} cannot be opened: {getattr(exc, 'strerror', None) or exc}") from None
    if stat.S_ISDIR(status.st_mode):
        raise SourceUnsupported(f"{who} is a folder; name a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceUnsupported(f"{who} is neither a file nor an address; a video file, rtsp:// or http:// is needed")
    if status.st_size == 0:
        raise SourceUnsupported(f"{who} is empty")
    return f"file:{path.absolute()}"


def video_stream(container: InputContainer, source: SourceConfig) -> VideoStream:
    """The first moving picture; cover art is none. Raises `SourceUnsupported`."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
        what = f"only {', '.join(kinds)}" if kinds else "no stream at all"
        raise SourceUnsupported(f"{named(source)} holds no video ({what})")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceUnsupported(f"{named(source)} holds video in a codec that FFmpeg cannot decode")
    codec = stream.codec_context
    if codec.width * codec.height > source.max_pixels:
        raise SourceUnsupported(
            f"{named(source)} declares pictures of {codec.width}x{codec.height}; at most max_pixels = "
            f"{source.max_pixels} pixels are taken"
        )
    return stream


def set_decoder(stream: VideoStream, source: SourceConfig, *, live: bool) -> None:
    """Settle threads and limits before the first packet.

    Frame threads hold back as many frames as there are threads, which a live source must not, and cost 5 to 10 % more
    processor time (measured, 720p H.264 and 1080p HEVC), which only pays where one core cannot keep up. FFmpeg's
    low-delay flag stays off: it breaks the order of B-frames, and without them changes nothing.
    """
    codec = stream.codec_context
    large = codec.width * codec.height > _ONE_THREAD_PIXELS
    codec.thread_type = "SLICE" if live else "FRAME"
    codec.thread_count = 2 if large else 1
    # On the codec context, since what `av.open` was given does not reach the decoder of a network stream.
    codec.options = {"max_pixels": str(source.max_pixels)}
