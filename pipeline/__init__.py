"""everyframe's runtime: what flows, who carries it, and what became of each frame. It knows no neural network.

The names a user needs are importable from here; each is loaded when first asked for, so that ``import pipeline`` costs
nothing and pulls in neither ``av`` nor ``torch`` nor ``zmq``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.build import Pipeline as Pipeline
    from pipeline.client import AsyncSubscriber as AsyncSubscriber
    from pipeline.client import Subscriber as Subscriber
    from pipeline.errors import EveryframeError as EveryframeError
    from pipeline.messages import Detections as Detections
    from pipeline.messages import Frame as Frame
    from pipeline.messages import FrameResult as FrameResult
    from pipeline.messages import Gap as Gap
    from pipeline.messages import PanopticMap as PanopticMap
    from pipeline.messages import Tracks as Tracks

_HOMES = {
    "Pipeline": "pipeline.build",
    "AsyncSubscriber": "pipeline.client",
    "Subscriber": "pipeline.client",
    "EveryframeError": "pipeline.errors",
    "Detections": "pipeline.messages",
    "Frame": "pipeline.messages",
    "FrameResult": "pipeline.messages",
    "Gap": "pipeline.messages",
    "PanopticMap": "pipeline.messages",
    "Tracks": "pipeline.messages",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(_HOMES[name]), name)
