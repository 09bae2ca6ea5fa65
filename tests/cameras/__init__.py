"""Cameras for tests: a scripted RTSP server that misbehaves on cue, and pictures that carry their number."""

from tests.cameras.behaviour import (
    Answer,
    Behaviour,
    ChangeVideo,
    HangUpAfter,
    LosePackets,
    NoKeyframes,
    RefuseCredentials,
    SilentAt,
    StallAfter,
)
from tests.cameras.h264 import H264Video, encode_h264, numbered_video, video_from_file
from tests.cameras.numbered import numbered_frame, numbered_frames, read_number
from tests.cameras.rtsp_server import RtspCamera

__all__ = [
    "Answer",
    "Behaviour",
    "ChangeVideo",
    "H264Video",
    "HangUpAfter",
    "LosePackets",
    "NoKeyframes",
    "RefuseCredentials",
    "RtspCamera",
    "SilentAt",
    "StallAfter",
    "encode_h264",
    "numbered_frame",
    "numbered_frames",
    "numbered_video",
    "read_number",
    "video_from_file",
]
