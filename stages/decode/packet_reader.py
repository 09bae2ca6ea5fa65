"""An opened source whose packets go to be decoded on a device, or that is decoded here after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.config import SourceConfig, expand, is_live
from pipeline.errors import NoDecodableFrames, SourceError
from pipeline.messages import CodedPacket
from pipeline.stage import Access
from stages.decode.container import Opened, open_container
from stages.decode.faults import FOREIGN, named, reading_fault
from stages.decode.nvdec_limits import nvdec_refusal
from stages.decode.packets import header_of, packets_of
from stages.decode.reader import VideoReader

CODECS = ("h264", "hevc")  # whose parameter sets tell when a decoder must begin anew
_PROGRESSIVE = 1
_TURNING = frozenset({"mp4", "matroska"})  # containers that say how pictures are to be turned


class OpenedPackets:
    """A `pipeline.stage.PacketReader`. One thread opens, iterates and closes."""

    def __init__(self, opened: Opened, *, source: SourceConfig, address: str) -> None:
        self._opened, self._source, self._address = opened, source, address
        self._live = is_live(address)
        self.header = header_of(opened, live=self._live, began=source.began)
        self.refusal = refusal_of(opened)
        self.received_bytes = 0
        self._is_ours = True

    def decoded_here(self, *, next_epoch: Callable[[], int]) -> VideoReader:
        """The same source, decoded by this process from here on."""
        self._is_ours = False
        return VideoReader(self._opened, source=self._source, address=self._address, next_epoch=next_epoch)

    def __iter__(self) -> Iterator[CodedPacket]:
        """Packets until the end of a file, or where a live source fails: it times out, or hangs up."""
        try:
            for packet in packets_of(self._opened, live=self._live):
                self.received_bytes += len(packet.data)
                yield packet
        except FOREIGN:
            return

    def failure(self, *, frames: int, silent_seconds: float | None) -> SourceError:
        """Why a live source ended, or a file gave no frame."""
        if not self._live:
            return NoDecodableFrames(
                f"{named(self._source)} holds {self.header.codec} video, but no frame of it can be decoded"
            )
        return reading_fault(source=self._source, frames=frames, silent_seconds=silent_seconds)

    def close(self) -> None:
        """Release the container. Calling it twice does no harm."""
        if self._is_ours:
            self._is_ours = False
            self._opened.container.close()


def open_packets(source: SourceConfig, *, access: Access) -> OpenedPackets:
    """A source's packets. Raises what `open_source` does."""
    address = expand(source.url)
    return OpenedPackets(open_container(source, address, access=access), source=source, address=address)


def refusal_of(opened: Opened) -> str | None:
    """Why NVIDIA's decoder, or what reads its pictures, does not take a stream; None where it does."""
    codec = opened.stream.codec_context
    if codec.name not in CODECS:
        return f"{codec.name} is decoded on the CPU; {' and '.join(CODECS)} are decoded on a device"
    if int(codec.field_order) > _PROGRESSIVE:
        return "interlaced pictures are decoded on the CPU, which leaves their lines as they are"
    layout = codec.format
    bits = layout.components[0].bits if layout is not None and layout.components else None
    if bits is not None and bits != 8:
        return f"pictures of {bits} bits a sample are read on the CPU alone"
    chroma = _chroma(codec.pix_fmt)
    refused = nvdec_refusal(codec=codec.name, bits=bits, chroma=chroma, width=codec.width, height=codec.height)
    if refused is not None:
        return f"NVDEC does not take it: {refused}"
    return _turned(opened)


def _chroma(name: str | None) -> str | None:
    if name is None:
        return None
    for digits, chroma in (("420", "4:2:0"), ("nv12", "4:2:0"), ("422", "4:2:2"), ("444", "4:4:4"), ("gray", "gray")):
        if digits in name:
            return chroma
    return name


def _turned(opened: Opened) -> str | None:
    """Why not, where the container asks for its pictures to be turned, as those of telephones do.

    PyAV tells it with a decoded picture alone, so that the first is looked at, and the file taken back to its start.
    """
    container = opened.container
    if not _TURNING & set(container.format.name.split(",")):
        return None
    refusal = None
    try:
        first = next(container.decode(opened.stream), None)
        if first is None or first.rotation:
            refusal = "turned pictures are read on the CPU alone"
    except FOREIGN:
        refusal = "its first picture is damaged"
    container.seek(0)
    return refusal
