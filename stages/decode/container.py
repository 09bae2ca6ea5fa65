"""Opening a container: what may be opened, which stream of it is the video, and how its decoder is set."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import av
import av.logging
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from pipeline.config import SourceConfig, is_live, scheme_of
from pipeline.errors import SourceError, SourceUnsupported
from pipeline.stage import Access
from stages.decode.faults import FOREIGN, named, opening_fault
from stages.decode.local_files import local_file
from stages.decode.options import opening_options
from stages.decode.preflight import RTSP_SCHEMES, call_on
from stages.decode.standard_input import BinaryInput, standard_input
from stages.decode.webcam import device, device_fault

_ONE_THREAD_PIXELS = 1920 * 1088


@dataclass(frozen=True, slots=True)
class Opened:
    """An open container and the stream to read from it."""

    container: InputContainer
    stream: VideoStream


def open_container(source: SourceConfig, address: str, *, access: Access | None = None) -> Opened:
    """The container behind an expanded address and its video stream, ready to decode.

    Raises `SourceError`, and `AddressError` for a file that lies outside `access.files_root`.
    """
    # FFmpeg logs addresses with their passwords; what matters comes back as an error anyway.
    av.logging.set_level(None)
    scheme = scheme_of(address)
    called = call_on(source, address) if scheme in RTSP_SCHEMES else None
    seconds = source.open_timeout_seconds if called is None else called.seconds_left
    with _opening(source, address, access or Access(), scheme) as what:
        container = _open(source, address, what, opening_options(source, scheme), seconds)
    try:
        if called is not None:
            called.check_peer()
        stream = video_stream(container, source)
        silence_others(container, stream)
        set_decoder(stream, source, live=is_live(address))
    except SourceError:
        container.close()
        raise
    return Opened(container, stream)


def _opening(
    source: SourceConfig, address: str, access: Access, scheme: str
) -> AbstractContextManager[str | BinaryInput]:
    """What FFmpeg is given to open, for as long as it opens it."""
    if scheme == "file":
        return local_file(source, address, files_root=access.files_root)
    if scheme == "stdin":
        return nullcontext(standard_input(source, access))
    if scheme == "webcam":
        return nullcontext(device(source, address))
    return nullcontext(address)


def _open(
    source: SourceConfig, address: str, what: str | BinaryInput, options: dict[str, str], seconds: float
) -> InputContainer:
    started, is_webcam = time.monotonic(), scheme_of(address) == "webcam"
    try:
        return av.open(
            what,
            mode="r",
            format="v4l2" if is_webcam else None,
            options=options,
            # Who writes into a pipe takes his time; that ours passes meanwhile is seen to where it is read.
            timeout=(seconds, source.read_timeout_seconds) if isinstance(what, str) else None,
            metadata_errors="replace",  # a title in Latin-1 is no reason to refuse a video
        )
    except FOREIGN as exc:
        elapsed = time.monotonic() - started
        if is_webcam:
            fault = device_fault(exc, source, address)
        else:
            fault = opening_fault(exc, source=source, address=address, elapsed_seconds=elapsed, allowed_seconds=seconds)
    # Raised out of the handler's reach, so that not even `__context__` holds PyAV's error, which has the password.
    raise fault


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


def silence_others(container: InputContainer, stream: VideoStream) -> None:
    """Have FFmpeg drop the packets of every other stream itself.

    PyAV drops them too, but winds up its time limit anew at each: sound that goes on after the pictures stopped would
    keep a read waiting for ever (measured, MPEG-TS).
    """
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all


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
