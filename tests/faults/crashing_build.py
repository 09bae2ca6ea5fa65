"""Sources whose opening fails in a way that nobody expected, with the whole address in the error."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from pipeline.config import SourceConfig, expand
from pipeline.stage import Access, Reader
from tests.pipeline.fake_build import build_graph, build_publisher, build_sinks

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
    address = expand(source.url)
    try:
        raise KeyError(address)
    except KeyError as exc:
        exc.add_note(f"while opening {unquote(address)}")
        raise RuntimeError(f"no {address!r}, that is {unquote(address)}") from exc
