"""The states a source can be in, as published on `<source_id>/status/`, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class SourceState(StrEnum):
    """What a source is doing now; `TRANSITIONS` says what may follow, pipeline/README.md draws it."""

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


_CONNECTING, _STREAMING, _STALLED = SourceState.CONNECTING, SourceState.STREAMING, SourceState.STALLED

# A session has failed, and another one follows after a while; a file that failed stays where it is.
WAITING: Final = frozenset(
    {
        SourceState.NO_DECODABLE_FRAMES,
        SourceState.UNAUTHORIZED,
        SourceState.NOT_FOUND,
        SourceState.UNSUPPORTED,
        SourceState.FAULTED,
    }
)

# From wherever a source is at work: its worker may be replaced, or crash too often; it may be paused, stopped, removed.
_ALWAYS: Final = frozenset(
    {_CONNECTING, SourceState.FAULTED, SourceState.PAUSED, SourceState.ENDED, SourceState.REMOVED}
)

TRANSITIONS: Final[Mapping[SourceState, frozenset[SourceState]]] = MappingProxyType(
    {
        _CONNECTING: (_ALWAYS | WAITING | {_STREAMING}) - {_CONNECTING},
        _STREAMING: _ALWAYS | {_STALLED},
        _STALLED: _ALWAYS | {_STREAMING},
        **{state: _ALWAYS - {state} for state in WAITING},
        SourceState.PAUSED: (_ALWAYS | {_STREAMING}) - {SourceState.PAUSED},
        SourceState.ENDED: frozenset({SourceState.REMOVED}),
        SourceState.REMOVED: frozenset(),
    }
)
