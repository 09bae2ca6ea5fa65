"""What a probe might have found."""

from dataclasses import replace
from typing import Any

from pipeline.messages.findings import Findings, KeyframeFindings, StreamFindings

STREAM = StreamFindings(
    container="rtsp",
    codec="h264",
    profile="High",
    decoder="h264",
    width=1280,
    height=720,
    pixel_format="yuv420p",
    bits=8,
    chroma="4:2:0",
    interlaced=False,
    rotation=0,
    nvdec_refuses=None,
    declared_rate=25.0,
    declared_frames=None,
    declared_seconds=None,
)
KEYFRAMES = KeyframeFindings(count=4, interval_frames=25, interval_seconds=1.0, longest_seconds=1.0)
WELL = Findings(
    live=True,
    stream=STREAM,
    keyframes=KEYFRAMES,
    open_seconds=0.1,
    first_frame_seconds=0.3,
    watched_seconds=5.0,
    frames=125,
    undecoded=0,
    damaged=0,
    to_the_end=False,
    measured_rate=25.0,
    arrival_rate=24.9,
    varying_rate=False,
    b_frames=False,
    held_back_frames=0,
    resized=0,
    clock="pts",
    clock_jumps=0,
    camera_ahead_seconds=None,
    bit_rate=2e6,
    cpu_ms_a_frame=3.0,
)


def found(**changes: Any) -> Findings:
    """A camera that is well, but for these."""
    return replace(WELL, **changes)


def stream(**changes: Any) -> StreamFindings:
    """Its stream, but for these."""
    return replace(STREAM, **changes)


def keyframes(**changes: Any) -> KeyframeFindings:
    """Its keyframes, but for these."""
    return replace(KEYFRAMES, **changes)
