"""A stand-in for PyNvVideoCodec on the CPU: what it does by its documentation, with FFmpeg decoding inside."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import torch


class Picture:
    """A decoded surface: NV12 rows of luma, then of chroma. Its memory is used again by the next call."""

    def __init__(self, buffer: torch.Tensor, pts: int, layout: str) -> None:
        self._buffer, self._pts = buffer, pts
        self.format = SimpleNamespace(name=layout)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._buffer.shape)

    def GetPtrToPlane(self, plane: int) -> int:  # noqa: N802 - the library's name
        return self._buffer.data_ptr()

    def getPTS(self) -> int:  # noqa: N802
        return self._pts

    def __dlpack__(self, **settings: Any) -> Any:
        return self._buffer.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self._buffer.__dlpack_device__()


class Decoder:
    """`Decode` alone; pictures that were handed out are overwritten by the next call, as those of a small pool are."""

    def __init__(self, library: Library, settings: dict[str, Any]) -> None:
        self._library, self.settings = library, settings
        self._codec: Any = av.CodecContext.create(settings["codec"], "r")
        self._codec.thread_count = 1
        self._given: list[torch.Tensor] = []
        self._size: tuple[int, int] | None = None
        self._held: list[Any] | None = None

    def Decode(self, packet: Any) -> list[Picture]:  # noqa: N802
        for buffer in self._given:
            buffer.fill_(77)
        self._given.clear()
        if self._library.failure:
            raise RuntimeError(self._library.failure.pop(0))
        given: Any = None
        if packet.bsl:
            given = av.Packet(ctypes.string_at(packet.bsl_data, packet.bsl))
            given.pts = given.dts = packet.pts
            self._library.flags.append(packet.decode_flag)
        if given is None:  # some at a time
            self._held = self._codec.decode(None) if self._held is None else self._held
            some, self._held = self._held[:2], self._held[2:]
            return [self._picture(one) for one in some]
        return [self._picture(one) for one in self._codec.decode(given)]

    def _picture(self, frame: Any) -> Picture:
        """Pictures of another size come out in that of the first, as the library's do."""
        width, height = self._size = self._size or (frame.width, frame.height)
        converted = frame.reformat(width=width, height=height, format="nv12")
        buffer = torch.from_numpy(np.ascontiguousarray(converted.to_ndarray()))
        self._given.append(buffer)
        return Picture(buffer, frame.pts, self._library.layout)


class Library:
    """The module."""

    cudaVideoCodec = SimpleNamespace(H264="h264", HEVC="hevc")  # noqa: N815
    OutputColorType = SimpleNamespace(NATIVE="native")
    DisplayDecodeLatencyType = SimpleNamespace(NATIVE="native", LOW="low")
    VideoPacketFlag = SimpleNamespace(ENDOFPICTURE=8)

    def __init__(self) -> None:
        self.failure: list[str] = []
        self.flags: list[int] = []
        self.layout = "NV12"
        self.sessions: list[dict[str, Any]] = []

    def PacketData(self) -> Any:  # noqa: N802
        return SimpleNamespace(bsl=0, bsl_data=0, pts=0, key=0, decode_flag=0)

    def CreateDecoder(self, **settings: Any) -> Decoder:  # noqa: N802
        self.sessions.append(settings)
        return Decoder(self, settings)
