"""What a worker asks the builder for. `pipeline.build` is the builder; a test names a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.config import PipelineConfig, PublishConfig, SourceConfig
from pipeline.messages import Frame, Gap, Item, SourceStatus, ZoneEvent
from pipeline.stage import Access, PacketReader, Reader, Sink

if TYPE_CHECKING:
    from pipeline.graph import Graph
    from pipeline.workers.decoding import DeviceParts

DEFAULT_BUILDER = "pipeline.build"


class ResultPublisher(Protocol):
    """The publishing socket: `stages.publish.zeromq.ZeroMQPublisher`."""

    @property
    def address(self) -> str:
        """Where to subscribe."""

    @property
    def socket(self) -> Any:
        """To wait on: readable where `poll` has something to do."""

    @property
    def session(self) -> int:
        """What numbers count within."""

    def publish_result(self, source_id: str, payload: bytes, *, gap_before: int) -> int:
        """Send a result that is coded as of kind `all`; its number."""

    def publish_gap(self, gap: Gap) -> int:
        """Send a gap in every kind's stream; its number."""

    def wants_picture(self, source_id: str) -> bool:
        """Whether somebody subscribed to this source's pictures, and one is due."""

    def publish_picture(self, frame: Frame) -> None:
        """Send the picture of a frame. Raises `SinkError`."""

    def publish_event(self, event: ZoneEvent) -> None:
        """Send an event at a line or in a zone."""

    def publish_status(self, status: SourceStatus) -> None:
        """Send a status."""

    def poll(self) -> None:
        """Take note of subscriptions."""

    @property
    def refused(self) -> int:
        """Connections so far that were not let in."""

    def complaints(self) -> list[str]:
        """What people should be told since the last call; seldom anything."""

    def close(self) -> None:
        """Give what was sent a moment to leave."""


class Watch(Protocol):
    """Tells what tracks do at lines and zones: `stages.zones.ZoneWatch`."""

    def take(self, item: Item) -> list[ZoneEvent]:
        """The events that an item brings."""

    def end_all(self) -> list[ZoneEvent]:
        """The end of every visit there is."""

    def complaints(self) -> list[str]:
        """What people should be told since the last call; seldom anything."""


class Builder(Protocol):
    """A module with these functions."""

    def open_source(self, source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
        """Open a camera or file. Raises `SourceError`, `AddressError`."""

    def open_packets(self, source: SourceConfig, *, access: Access) -> PacketReader:
        """The packets of a camera or file. Raises `SourceError`, `AddressError`."""

    def device_parts(self, config: PipelineConfig) -> DeviceParts | None:
        """What decodes packets where they are looked at; None where nothing is."""

    def build_graph(self, config: PipelineConfig) -> Graph:
        """The chain of stages, networks loaded. Raises `ModelError`."""

    def build_sinks(self, config: PipelineConfig) -> list[Sink]:
        """The files a run writes. Raises `SinkError`."""

    def build_zones(self, config: PipelineConfig) -> Watch | None:
        """What tells of lines and zones; asked for where there is a file of them. Raises `ConfigError`."""

    def build_publisher(self, config: PublishConfig) -> ResultPublisher | None:
        """The publishing socket; None where nothing is to be published. Raises `ConfigError`, `SinkError`."""


def load_builder(module: str) -> Builder:
    """The builder of that name."""
    return cast(Builder, import_module(module))
