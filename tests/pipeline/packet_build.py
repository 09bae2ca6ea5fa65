"""A builder for tests of packets that the vision worker decodes: real sources, a decoder on the CPU, no network.

The model's query says what goes wrong, counted in packets of a decoder:
``model?decoder_dies_at=9&decoder_refuses=1&decoder_fails=1&decoder_hangs_at=9&decoder_raises_at=9&no_device=1``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline import build as real
from pipeline.config import PipelineConfig, PublishConfig, SourceConfig
from pipeline.errors import DecodeError
from pipeline.graph import Graph
from pipeline.messages import CodedPacket, StreamHeader
from pipeline.stage import Access, Decoded, PacketDecoder, Reader, Sink
from pipeline.workers.builder import ResultPublisher
from tests.pipeline.fake_build import build_graph as fake_graph
from tests.pipeline.fake_build import settings_of

if TYPE_CHECKING:
    from stages.decode.frame_maker import FrameMaker
    from stages.decode.pool import TorchPool


class FaultyDecoder:
    """Decodes until it does what it was told."""

    def __init__(self, decoder: PacketDecoder, settings: dict[str, float]) -> None:
        self._decoder, self._settings, self._packets = decoder, settings, 0
        self.note = decoder.note
        self.read_until, self.flush, self.close = decoder.read_until, decoder.flush, decoder.close

    def decode(self, packet: CodedPacket) -> list[Decoded]:
        self._packets += 1
        if self._packets == self._settings.get("decoder_dies_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._packets == self._settings.get("decoder_hangs_at"):
            time.sleep(3600)
        if self._packets == self._settings.get("decoder_raises_at"):
            raise RuntimeError("this decoder has a fault")
        if self._settings.get("decoder_fails"):
            raise DecodeError("this decoder gives nothing")
        return self._decoder.decode(packet)


class HostParts:
    """Decoders on the CPU, in the vision worker; pictures in tensors there. No other worker imports torch or PyAV."""

    def __init__(self, settings: dict[str, float]) -> None:
        self._settings = settings

    def decoder(self, header: StreamHeader, source: SourceConfig) -> Any:
        if self._settings.get("decoder_refuses"):
            raise DecodeError("this decoder takes nothing")
        from stages.decode.host_decoder import HostDecoder

        return FaultyDecoder(HostDecoder(header, max_pixels=source.max_pixels), self._settings)

    def numbering(
        self, header: StreamHeader, source_id: str, *, next_epoch: Callable[[], int], wall_offset_ns: int
    ) -> FrameMaker:
        from stages.decode.device_parts import frame_maker

        return frame_maker(header, source_id, next_epoch=next_epoch, wall_offset_ns=wall_offset_ns)

    def pool(self) -> TorchPool:
        from stages.decode.pool import TorchPool

        return TorchPool("cpu")


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
    return real.open_source(source, next_epoch=next_epoch, access=access)


def open_packets(source: SourceConfig, *, access: Access) -> Any:
    return real.open_packets(source, access=access)


def device_parts(config: PipelineConfig) -> HostParts | None:
    settings = settings_of(config.detector_config.model)
    return None if settings.get("no_device") else HostParts(settings)


def build_graph(config: PipelineConfig) -> Graph:
    return fake_graph(config)


def build_sinks(config: PipelineConfig) -> list[Sink]:
    return real.build_sinks(config)


def build_publisher(config: PublishConfig) -> ResultPublisher | None:
    return real.build_publisher(config)
