"""The states a source can be in, as published on `<source_id>/status/`."""

from __future__ import annotations

from enum import StrEnum


class SourceState(StrEnum):
    """What a source is doing now; see DESIGN for the transitions."""

    CONNECTING = "CONNECTING"
    STREAMING = "STREAMING"
    STALLED = "STALLED"
    NO_DECODABLE_FRAMES = "NO_DECODABLE_FRAMES"
    UNAUTHORIZED = "UNAUTHORIZED"
    NOT_FOUND = "NOT_FOUND"
    UNSUPPORTED = "UNSUPPORTED"
    FAULTED = "FAULTED"
    PAUSED = "PAUSED"
    ENDED = "ENDED"
    REMOVED = "REMOVED"

    @property
    def is_final(self) -> bool:
        """Whether the source will give no further frame."""
        return self in {SourceState.ENDED, SourceState.REMOVED}
