"""What happens at lines and in zones as JSON lines, one each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.config.zones import ZonesConfig
from pipeline.errors import SinkError
from pipeline.messages import Item, Surface, ZoneEvent
from pipeline.wire import event_to_json
from stages.publish.jsonl import LineFile
from stages.zones import ZoneWatch


class ZoneEventsSink:
    """Writes a file of events, in place of one that is there. Raises `SinkError` naming it."""

    name: Literal["zones"] = "zones"
    needs_surface: Literal[False] = False

    def __init__(self, file: str | os.PathLike[str], zones: ZonesConfig) -> None:
        """Open the file; its folder is made if need be."""
        self._watch, self._closed = ZoneWatch(zones), False
        self._file = LineFile(Path(file), option="--events")

    def write(self, item: Item, surface: Surface | None = None) -> None:
        """Append the events that an item brings. Raises `SinkError`."""
        self._append(self._watch.take(item))

    def complaints(self) -> list[SinkError]:
        """Of classes that no model has, since this was last asked: the file goes on."""
        return [SinkError(text) for text in self._watch.complaints()]

    def close(self) -> None:
        """End every visit, and close the file. Calling it twice does no harm."""
        if self._closed:
            return
        self._closed = True
        try:
            self._append(self._watch.end_all())
        finally:
            self._file.close()

    def _append(self, events: Iterable[ZoneEvent]) -> None:
        for event in events:
            self._file.write(event_to_json(event))
