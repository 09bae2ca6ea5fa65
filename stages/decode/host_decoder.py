"""Decodes packets on the CPU, in the process that looks at the pictures."""

from __future__ import annotations

from typing import Any

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pipeline.errors import DecodeError
from pipeline.messages import CodedPacket, StreamHeader
from pipeline.stage import Decoded
from stages.decode.faults import FOREIGN
from stages.decode.surface import SurfaceMaker


class HostDecoder:
    """FFmpeg's decoder; pictures lie on the host."""

    def __init__(self, header: StreamHeader, *, max_pixels: int) -> None:
        """Raises `DecodeError` where FFmpeg has no decoder for the stream."""
        try:
            codec = av.CodecContext.create(header.codec, "r")
        except FOREIGN as exc:
            raise DecodeError(f"FFmpeg has no decoder for {header.codec}") from exc
        assert isinstance(codec, VideoCodecContext)
        if header.extradata:
            codec.extradata = header.extradata
        codec.thread_count = 1
        codec.options = {"max_pixels": str(max_pixels)}
        self._codec = codec
        self._header = header
        self._surface = SurfaceMaker(codec=header.codec)
        self._fed = False  # since it was flushed

    @property
    def note(self) -> str:
        """What decodes."""
        return f"{self._header.codec} on the CPU"

    def decode(self, packet: CodedPacket) -> list[Decoded]:
        """Pictures that are finished with this packet. Raises `DecodeError`."""
        given: Any = Packet(packet.data)
        given.pts, given.dts, given.time_base = packet.pts, packet.dts, self._header.time_base
        given.is_keyframe = packet.is_key
        self._fed = True
        return self._decoded(given)

    def read_until(self, event: object) -> None:
        """Nothing to do: FFmpeg counts who refers to a picture."""

    def flush(self) -> list[Decoded]:
        """Pictures that it holds back; none when asked again. Raises `DecodeError`."""
        if not self._fed:
            return []
        self._fed = False
        found = self._decoded(None)
        self._codec.flush_buffers()
        return found

    def close(self) -> None:
        """Nothing is held that would not go by itself."""

    def _decoded(self, packet: Packet[VideoStream] | None) -> list[Decoded]:
        try:
            pictures = self._codec.decode(packet)
            return [Decoded(self._surface(one), one.pts, one.is_corrupt) for one in pictures]
        except FOREIGN as exc:
            raise DecodeError(f"{self._header.codec}: {exc}") from exc
