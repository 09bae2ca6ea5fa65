"""Decodes packets on a GPU by FFmpeg's CUDA acceleration: the second way to NVDEC, where PyNvVideoCodec is missing.

Frames of FFmpeg's own pool are handed out through DLPack; that takes an FFmpeg that was built with CUDA, which PyAV's
wheels are.
"""

from __future__ import annotations

from typing import Any

import av
import torch
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from torch.utils.dlpack import from_dlpack

from pipeline.errors import DecodeError
from pipeline.messages import CodedPacket, DeviceSurface, StreamHeader
from pipeline.stage import Decoded
from stages.decode.colours import default_matrix
from stages.decode.faults import FOREIGN

_ERRORS: tuple[type[Exception], ...] = (*FOREIGN, RuntimeError, BufferError)


class HwaccelDecoder:
    """FFmpeg's decoder with pictures on a CUDA device."""

    def __init__(self, header: StreamHeader, *, device: str, max_pixels: int) -> None:
        """Raises `DecodeError` where FFmpeg cannot decode the stream there."""
        self._header, self._device = header, torch.device(device)
        try:
            accelerator = HWAccel(
                "cuda",
                device=str(self._device.index or 0),
                allow_software_fallback=False,
                is_hw_owned=True,
                options={"primary_ctx": "1"},  # torch's, so that their streams can wait for each other
            )
            codec: Any = av.CodecContext.create(header.codec, "r", hwaccel=accelerator)
            if header.extradata:
                codec.extradata = header.extradata
            codec.options = {"max_pixels": str(max_pixels)}
            codec.open()
        except _ERRORS as exc:
            raise DecodeError(f"FFmpeg cannot decode {header.codec} on {self._device}: {exc}") from exc
        self._codec = codec
        self._read: list[Any] = []
        self._fed = False  # since it was flushed

    @property
    def note(self) -> str:
        """What decodes."""
        return f"{self._header.codec} on {self._device} by FFmpeg"

    def decode(self, packet: CodedPacket) -> list[Decoded]:
        """Pictures that are finished with this packet. Raises `DecodeError`."""
        given: Packet[Any] = Packet(packet.data)
        given.pts, given.dts, given.time_base = packet.pts, packet.dts, self._header.time_base
        given.is_keyframe = packet.is_key
        self._fed = True
        return self._decoded(given)

    def read_until(self, event: Any) -> None:
        """Pictures that were handed out are read until `event`."""
        self._read.append(event)

    def flush(self) -> list[Decoded]:
        """Pictures that it holds back; none when asked again. Raises `DecodeError`."""
        if not self._fed:
            return []
        self._fed = False
        found = self._decoded(None)
        self._codec.flush_buffers()
        return found

    def close(self) -> None:
        """Wait until nobody reads its pictures."""
        self._give_up_pictures()

    def _decoded(self, packet: Packet[Any] | None) -> list[Decoded]:
        self._give_up_pictures()
        try:
            pictures = self._codec.decode(packet)
            return [Decoded(self._surface(one), one.pts, one.is_corrupt) for one in pictures]
        except _ERRORS as exc:
            raise DecodeError(f"{self._header.codec} on {self._device}: {exc}") from exc

    def _surface(self, picture: Any) -> DeviceSurface:
        # By the capsule: PyAV takes no stream to wait for, which torch names where it is given the plane itself.
        luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
        return DeviceSurface(
            "nv12",
            (luma[: picture.height, : picture.width], _pairs(chroma, picture.height, picture.width)),
            matrix=self._header.matrix or default_matrix(picture.width, picture.height),
            range=self._header.range,
            device=str(self._device),
            ready=self._recorded(),
        )

    def _recorded(self) -> Any:
        """The event after which FFmpeg's copies are done: it queues them on the default stream."""
        if self._device.type != "cuda":
            return None
        event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.default_stream(self._device))
        return event

    def _give_up_pictures(self) -> None:
        for event in self._read:
            event.synchronize()
        self._read.clear()


def _pairs(chroma: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Chroma [ceil(H/2), ceil(W/2), 2], which FFmpeg may hand out as rows of bytes."""
    rows, columns = (height + 1) // 2, (width + 1) // 2
    if chroma.ndim == 3:
        return chroma[:rows, :columns]
    return chroma[:rows, : 2 * columns].view(rows, columns, 2)
