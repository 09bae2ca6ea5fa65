"""What it takes to decode sources on the device that looks at them."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config import SourceConfig
from pipeline.errors import DecodeError
from pipeline.messages import StreamHeader
from pipeline.stage import PacketDecoder
from stages.decode.frame_maker import FrameMaker
from stages.decode.pool import TorchPool


def frame_maker(
    header: StreamHeader, source_id: str, *, next_epoch: Callable[[], int], wall_offset_ns: int
) -> FrameMaker:
    """What numbers and times the frames of a stream; begins an epoch."""
    return FrameMaker(
        source_id,
        live=header.live,
        timed=header.timed,
        reported=header.reported,
        time_base=header.time_base,
        rate=header.frame_rate,
        start_ns=header.start_ns,
        next_epoch=next_epoch,
        wall_offset_ns=wall_offset_ns,
    )


class CudaParts:
    """Decoders of NVIDIA's and pictures in a GPU's memory."""

    def __init__(self, device: str) -> None:
        """`device`: as torch has it."""
        self._device = device

    def decoder(self, header: StreamHeader, source: SourceConfig) -> PacketDecoder:
        """PyNvVideoCodec's, else FFmpeg's on CUDA. Raises `DecodeError` where neither can decode the stream."""
        from stages.decode.nvdec import NvdecDecoder

        try:
            return NvdecDecoder(header, device=self._device, max_pixels=source.max_pixels)
        except DecodeError as first:
            try:
                from stages.decode.hwaccel import HwaccelDecoder

                return HwaccelDecoder(header, device=self._device, max_pixels=source.max_pixels)
            except (DecodeError, ImportError) as second:
                raise DecodeError(f"{first}; {second}") from first

    def numbering(
        self, header: StreamHeader, source_id: str, *, next_epoch: Callable[[], int], wall_offset_ns: int
    ) -> FrameMaker:
        """See `frame_maker`."""
        return frame_maker(header, source_id, next_epoch=next_epoch, wall_offset_ns=wall_offset_ns)

    def pool(self) -> TorchPool:
        """Room for a source's pictures."""
        return TorchPool(self._device)
