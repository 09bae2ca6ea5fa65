"""Identities over time: a Kalman filter, overlaps and assignment, by the recipe of ByteTrack or OC-SORT."""

from stages.track.stage import Track
from stages.track.tracker import Tracker

__all__ = ["Track", "Tracker"]
