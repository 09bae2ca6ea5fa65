"""Other people's schemas: results as the messages of Savant, DeepStream, Roboflow and Frigate, as plain dictionaries.

Pure conversions. A schema says less than a result does: gaps are in none of them, masks in Roboflow's alone. What a
schema wants and a result does not know is null, or the schema's word for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pipeline.messages import FrameResult, Item
from stages.publish.events import TrackEvents
from stages.publish.formats.deepstream import to_deepstream
from stages.publish.formats.frigate import to_frigate
from stages.publish.formats.roboflow import to_roboflow
from stages.publish.formats.savant import to_savant

Message = dict[str, Any]


class Conversion(Protocol):
    """One source's items in order to messages of a schema."""

    def messages(self, item: Item) -> Iterator[Message]:
        """What an item comes to; nothing, as often as not."""

    def last(self) -> Iterator[Message]:
        """What is to be said when no more items come."""


class Each:
    """A message for each result."""

    def __init__(self, convert: Callable[[FrameResult], Message]) -> None:
        self._convert = convert

    def messages(self, item: Item) -> Iterator[Message]:
        """The result as a message of the schema; of gaps and statuses, none."""
        if isinstance(item, FrameResult):
            yield self._convert(item)

    def last(self) -> Iterator[Message]:
        """Nothing."""
        return iter(())


class Events:
    """A message for what happens to a track."""

    def __init__(self) -> None:
        self._events = TrackEvents()

    def messages(self, item: Item) -> Iterator[Message]:
        """The events that an item brings."""
        return (to_frigate(event) for event in self._events.take(item))

    def last(self) -> Iterator[Message]:
        """The end of every track."""
        return (to_frigate(event) for event in self._events.end_all())


FORMATS: dict[str, Callable[[], Conversion]] = {
    "savant": lambda: Each(to_savant),
    "deepstream": lambda: Each(to_deepstream),
    "roboflow": lambda: Each(to_roboflow),
    "frigate": Events,
}

__all__ = ["FORMATS", "Conversion", "to_deepstream", "to_frigate", "to_roboflow", "to_savant"]
