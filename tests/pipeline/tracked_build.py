"""Readers that make frames up, and a graph that tracks the whole picture."""

from __future__ import annotations

from tests.faults.tracking_build import build_graph
from tests.pipeline.fake_build import build_publisher, build_sinks, open_source

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]
