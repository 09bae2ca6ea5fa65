"""The real sources, but that opening one called `hang` never returns: what a resolver does that nobody answers.

FFmpeg asks the resolver in a call that knows no deadline of ours and cannot be interrupted. The name resolves from
when the file exists that the environment names in `RESOLVES`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from pipeline.build import build_publisher, build_sinks
from pipeline.build import open_source as open_really
from pipeline.config import SourceConfig
from pipeline.stage import Access, Reader
from tests.pipeline.numbered_build import build_graph

__all__ = ["RESOLVES", "build_graph", "build_publisher", "build_sinks", "open_source"]

RESOLVES = "EVERYFRAME_TEST_RESOLVES"


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
    """Opened, or never."""
    while source.source_id == "hang" and not Path(os.environ[RESOLVES]).exists():
        signal.pause()
    return open_really(source, next_epoch=next_epoch, access=access)
