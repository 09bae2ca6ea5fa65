"""Identities over time: a constant-velocity Kalman filter, overlap and assignment in ByteTrack's two passes."""

from stages.track.stage import Track
from stages.track.tracker import Tracker

__all__ = ["Track", "Tracker"]
