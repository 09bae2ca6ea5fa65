"""Cameras for tests: a scripted RTSP server that misbehaves on cue, and pictures that carry their number."""

from tests.cameras.behaviour import (
    Answer,
    Behaviour,
    ChangeVideo,
    CorruptPackets,
    DoublePackets,
    HangUpAfter,
    JumpTime,
    LosePackets,
    NoKeyframes,
    RefuseCredentials,
    ReorderPackets,
    SilentAt,
    StallAfter,
    TellTime,
)
from tests.cameras.h264 import H264Video, encode_h264, numbered_video, video_from_file
from tests.cameras.numbered import numbered_frame, numbered_frames, read_number
from tests.cameras.reports import CameraClock, Report
from tests.cameras.rtsp_server import RtspCamera

__all__ = [
    "Answer",
    "Behaviour",
    "CameraClock",
    "ChangeVideo",
    "CorruptPackets",
    "DoublePackets",
    "H264Video",
    "HangUpAfter",
    "JumpTime",
    "LosePackets",
    "NoKeyframes",
    "RefuseCredentials",
    "ReorderPackets",
    "Report",
    "RtspCamera",
    "SilentAt",
    "StallAfter",
    "TellTime",
    "encode_h264",
    "numbered_frame",
    "numbered_frames",
    "numbered_video",
    "read_number",
    "video_from_file",
]
