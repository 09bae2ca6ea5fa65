"""What probing a source found out: facts alone. The verdict on them is `pipeline.cli.probe_verdict`'s."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.messages.frames import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFindings:
    """What a source is, as its container, its headers and its pictures tell."""

    container: str  # FFmpeg's short name: rtsp, mpegts, "mov,mp4,..."
    codec: str  # FFmpeg's name: h264, hevc, mjpeg
    profile: str | None
    decoder: str  # FFmpeg's name, which may differ from the codec's: libdav1d
    width: int  # as coded, before any rotation
    height: int
    pixel_format: str | None  # FFmpeg's name; None until a picture or a header told it
    bits: int | None  # a sample
    chroma: str | None  # 4:2:0, 4:2:2, 4:4:4 and the like, gray, or rgb
    interlaced: bool
    rotation: int  # degrees counterclockwise
    nvdec_refuses: str | None  # why NVIDIA's decoder cannot take it, by NVIDIA's table; None: it can
    declared_rate: float | None  # frames a second
    declared_frames: int | None  # of a file
    declared_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeFindings:
    """How often decoding can start."""

    count: int
    interval_frames: int | None  # the usual one; None until two were seen
    interval_seconds: float | None
    longest_seconds: float | None  # the longest so far, the one still going on included


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A source that could be opened, and what was measured of it so far. Rates are in frames a second."""

    live: bool
    stream: StreamFindings
    keyframes: KeyframeFindings
    open_seconds: float
    first_frame_seconds: float | None  # since opening began
    watched_seconds: float  # from the first frame to the last
    frames: int
    undecoded: int  # packets that gave no frame
    damaged: int  # of the frames, those that the decoder had to guess parts of
    to_the_end: bool  # a file was read whole
    measured_rate: float | None  # by time stamps where there are any, else by arrival
    arrival_rate: float | None  # of a camera: how fast frames came in
    varying_rate: bool
    b_frames: bool
    held_back_frames: int  # how many the decoder keeps, to put them into order
    resized: int  # how often the size of the picture changed
    clock: Clock | None
    clock_jumps: int  # breaks in the time line
    camera_ahead_seconds: float | None  # the camera's clock less ours, where the camera tells its own
    bit_rate: float | None  # bits a second, of the video alone
    cpu_ms_a_frame: float | None  # processor time to read and decode one
