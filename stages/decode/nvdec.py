"""Decodes packets on NVIDIA's decoder; pictures stay in the GPU's memory.

PyNvVideoCodec is imported here alone, because it fails on import where the driver's encode library is missing. The
driver spreads sessions over a chip's engines by itself (seven on Hopper), so there is nothing to choose. In low-latency
mode a picture comes out with the packet that completes it, which the packet must say; streams whose pictures are
reordered are decoded as they come, a few pictures late. Damage is not told: pictures that it had to guess parts of come
out like others.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

import torch
from torch.utils.dlpack import from_dlpack

from pipeline.errors import DecodeError, DeviceLost
from pipeline.messages import CodedPacket, DeviceSurface, StreamHeader
from pipeline.stage import Decoded
from stages.decode.colours import default_matrix
from stages.models.cuda_streams import on_stream
from stages.models.letterbox import nv12_planes

CODECS = {"h264": "H264", "hevc": "HEVC"}  # FFmpeg's name: NVIDIA's
_NUMBERED = 1 << 20  # pictures whose time stamps are remembered; more are never inside a decoder
_KNOWN = 64  # places of pictures that are remembered; a session has a few
_FIRST = -1  # the priority of its stream: a copy does not wait behind a network's kernels
# What CUDA does not recover from, by name and by number, as the library gives the one or the other.
_LOST = re.compile(
    r"CUDA_ERROR_(ILLEGAL|LAUNCH|DEINITIALIZED|ECC|UNKNOWN|MISALIGNED|HARDWARE)"
    r"|returned error (4|214|700|702|709|71[0-9]|999)\b"
)


class NvdecDecoder:
    """One session of NVIDIA's decoder, with a CUDA stream of its own; past 32, torch has several share one."""

    def __init__(self, header: StreamHeader, *, device: str, max_pixels: int, library: Any = None) -> None:
        """`library`: in place of PyNvVideoCodec. Raises `DecodeError` where it cannot decode the stream."""
        self._nvc = _library() if library is None else library
        self._header, self._device, self._max_pixels = header, torch.device(device), max_pixels
        if header.codec not in CODECS:
            raise DecodeError(f"NVDEC has no decoder for {header.codec}; {', '.join(CODECS)} are known")
        self._stream: Any = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device, priority=_FIRST)  # type: ignore[no-untyped-call]
        self._stamps: dict[int, int | None] = {}
        self._number = 0
        self._read: list[Any] = []
        # By address and shape: the session uses its few places again and again.
        self._known: dict[tuple[int, tuple[int, ...]], DeviceSurface] = {}
        self._prefix = header.extradata
        self._sizes = sequence_sets(header.codec, header.extradata)  # that the session began with
        self._session: Any = None
        self._open()

    @property
    def note(self) -> str:
        """What decodes."""
        return f"{self._header.codec} on NVDEC of {self._device}"

    def decode(self, packet: CodedPacket) -> list[Decoded]:
        """Pictures that are finished with this packet. Raises `DecodeError`, `DeviceLost`."""
        self._give_up_pictures()
        data = self._prefix + packet.data
        before = self._begun_anew(data) if packet.is_key else []
        try:
            pictures = self._session.Decode(self._packet(data, packet))
        except Exception as exc:
            self._failed(exc)
            raise DecodeError(f"{self._header.codec} on NVDEC: {exc}") from exc
        self._prefix = b""
        return [*before, *(self._decoded(picture) for picture in pictures)]

    def read_until(self, event: Any) -> None:
        """Pictures that were handed out are read until `event`."""
        self._read.append(event)

    def flush(self) -> list[Decoded]:
        """Some of the pictures that it holds back, until there are none. Raises `DecodeError`, `DeviceLost`."""
        self._give_up_pictures()
        self._prefix = self._header.extradata
        try:
            return [self._decoded(picture) for picture in self._session.Decode(self._nvc.PacketData())]
        except DecodeError:
            raise
        except Exception as exc:
            self._failed(exc)
            raise DecodeError(f"{self._header.codec} on NVDEC: {exc}") from exc

    def close(self) -> None:
        """End the session, when nobody reads its pictures any more."""
        if self._session is not None:
            self._end_session()

    def _end_session(self) -> None:
        self._give_up_pictures()
        if self._stream is not None:
            self._stream.synchronize()  # who reads there is done
        self._known.clear()
        self._session = None

    def _open(self) -> None:
        nvc = self._nvc
        kinds = nvc.DisplayDecodeLatencyType
        try:
            self._session = nvc.CreateDecoder(
                gpuid=self._device.index or 0,
                codec=getattr(nvc.cudaVideoCodec, CODECS[self._header.codec]),
                cudacontext=0,
                cudastream=0 if self._stream is None else self._stream.cuda_stream,
                usedevicememory=True,
                outputColorType=nvc.OutputColorType.NATIVE,
                latency=kinds.NATIVE if self._header.reorders else kinds.LOW,
            )
        except Exception as exc:
            self._failed(exc)
            raise DecodeError(f"NVDEC of {self._device} cannot decode {self._header.codec}: {exc}") from exc

    def _begun_anew(self, data: bytes) -> list[Decoded]:
        """Begin a session anew where the parameter sets are others, and give what the one before held back.

        The library goes on in the session, but scales pictures of another size to that of the first.
        """
        found = sequence_sets(self._header.codec, data)
        if not found or found == self._sizes:
            return []
        held: list[Decoded] = []
        if self._sizes:
            while some := self.flush():
                held += [self._copy(one) for one in some]
            self._end_session()
            self._stamps.clear()
            self._open()
        self._sizes = found
        return held

    def _copy(self, picture: Decoded) -> Decoded:
        """A picture of its own memory, which outlives its session."""
        surface = picture.surface
        assert isinstance(surface, DeviceSurface)
        with on_stream(self._stream):
            planes = tuple(plane.clone() for plane in surface.planes)
        if self._stream is not None:
            self._stream.synchronize()
        kept = DeviceSurface(
            "nv12", planes, matrix=surface.matrix, range=surface.range, device=surface.device, stream=self._stream
        )
        return Decoded(kept, picture.pts, picture.is_damaged)

    def _packet(self, data: bytes, packet: CodedPacket) -> Any:
        """The packet as the library takes it, by the address of bytes that must outlive the call."""
        self._held = ctypes.create_string_buffer(data, len(data))
        given = self._nvc.PacketData()
        given.bsl_data, given.bsl = ctypes.addressof(self._held), len(data)
        self._number = (self._number + 1) % _NUMBERED
        given.pts, given.key = self._number, int(packet.is_key)
        self._stamps[self._number] = packet.pts
        if not self._header.reorders:
            given.decode_flag = self._nvc.VideoPacketFlag.ENDOFPICTURE
        return given

    def _decoded(self, picture: Any) -> Decoded:
        place = int(picture.GetPtrToPlane(0)), tuple(picture.shape)
        surface = self._known.get(place)
        if surface is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            surface = self._known[place] = self._surface(picture)
        return Decoded(surface, self._stamp_of(int(picture.getPTS())), is_damaged=False)

    def _surface(self, picture: Any) -> DeviceSurface:
        layout = getattr(picture.format, "name", str(picture.format))
        if layout != "NV12":
            raise DecodeError(f"{self._header.codec} on NVDEC: its pictures are {layout}; only NV12 is read")
        with on_stream(self._stream):
            buffer = from_dlpack(picture)
        if buffer.ndim == 3:
            buffer = buffer[..., 0]
        height, width = buffer.shape[0] * 2 // 3, buffer.shape[1]
        if height * width > self._max_pixels:
            raise DecodeError(f"{self._header.codec}: a picture of {width}x{height}; max_pixels is {self._max_pixels}")
        return DeviceSurface(
            "nv12",
            nv12_planes(buffer, width=width, height=height, luma_rows=height),
            matrix=self._header.matrix or default_matrix(width, height),
            range=self._header.range,
            device=str(self._device),
            stream=self._stream,
            memory=buffer if buffer.is_contiguous() else None,
        )

    def _stamp_of(self, number: int) -> int | None:
        """The time stamp of the packet that a picture came from; those of packets that gave none are forgotten."""
        stamp = self._stamps.pop(number, None)
        if not self._header.reorders:
            for older in [held for held in self._stamps if held < number]:
                del self._stamps[older]
        elif len(self._stamps) > 1000:
            del self._stamps[next(iter(self._stamps))]
        return stamp

    def _give_up_pictures(self) -> None:
        for event in self._read:
            event.synchronize()
        self._read.clear()

    def _failed(self, error: Exception) -> None:
        """Raises `DeviceLost` for what CUDA does not recover from."""
        if _LOST.search(str(error)):
            raise DeviceLost(f"NVDEC of {self._device}: {error}; the process must end") from error


def sequence_sets(codec: str, data: bytes) -> bytes:
    """The sequence parameter sets among parts with start codes, which say how large pictures are; empty for none."""
    found = []
    for part in data.split(b"\x00\x00\x01")[1:]:
        if part:
            kind = part[0] & 0x1F if codec == "h264" else (part[0] >> 1) & 0x3F
            if kind == (7 if codec == "h264" else 33):
                found.append(part.rstrip(b"\x00"))
    return b"|".join(dict.fromkeys(found))


def _library() -> Any:
    """PyNvVideoCodec. Raises `DecodeError` where it cannot be used."""
    try:
        import PyNvVideoCodec
    except ImportError as exc:
        raise DecodeError("NVDEC: the package pynvvideocodec is missing; pip install pynvvideocodec") from exc
    except Exception as exc:
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        raise DecodeError(f"NVDEC cannot be used: {lines[0]}") from exc
    return PyNvVideoCodec
