"""Places results go: ZeroMQ, JSON lines, other people's schemas, an annotated video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.publish.export import ExportSink as ExportSink
    from stages.publish.jsonl import JsonLinesSink as JsonLinesSink
    from stages.publish.video import AnnotatedVideoSink as AnnotatedVideoSink

_HOMES = {
    "JsonLinesSink": "stages.publish.jsonl",
    "ExportSink": "stages.publish.export",
    "AnnotatedVideoSink": "stages.publish.video",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Each sink is loaded when first asked for: a run that writes no video needs no encoder."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stages.publish' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(_HOMES[name]), name)
