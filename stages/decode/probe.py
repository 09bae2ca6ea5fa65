"""Looking a source over: opened, read and decoded as a camera worker does it, with everything counted on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.config import SourceConfig, expand, is_folder, is_live, local_path
from pipeline.errors import SourceNotFound
from pipeline.messages.findings import Findings
from pipeline.stage import Access, Taken
from stages.decode.container import Opened, open_container
from stages.decode.reader import VideoReader
from stages.decode.segments import Segments
from stages.decode.watch import Watch

TELL_SECONDS = 0.2


def probe(
    source: SourceConfig, *, seconds: float, tell: Callable[[Findings], None], access: Access | None = None
) -> Findings:
    """Watch a source for `seconds` after its first frame; a file may be enough sooner.

    `tell` is given what is known: once the source is open, then a few times a second, and before an error. Raises
    `AddressError` and `SourceError` as `open_source` and its reader do: also where a camera breaks off meanwhile.
    """
    address, access = expand(source.url), access or Access()
    began_ns = time.monotonic_ns()
    if is_folder(address):
        address = first_segment(source, address, access)
    opened = open_container(source, address, access=access)
    watch = Watch(opened, live=is_live(address), began_ns=began_ns)
    reader = WatchedReader(opened, source=source, address=address, watch=watch)
    try:
        tell(watch.findings(undecoded=reader.undecoded, damaged=reader.damaged))
        _watch(reader, watch, seconds=seconds, tell=tell)
    finally:
        found = watch.findings(undecoded=reader.undecoded, damaged=reader.damaged)
        tell(found)
        reader.close()
    return found


def first_segment(source: SourceConfig, address: str, access: Access) -> str:
    """The file that stands for a folder: the first one that a run would take. Raises `SourceError`, `AddressError`."""
    folder = local_path(address).absolute()
    segment = Segments(folder, source=source, taken=Taken(), files_root=access.files_root).next()
    if segment is None:
        raise SourceNotFound(f"{source.shown} holds no segment that is complete")
    return str(segment)


def _watch(reader: WatchedReader, watch: Watch, *, seconds: float, tell: Callable[[Findings], None]) -> None:
    told = 0.0
    for frame in reader:
        watch.saw_frame(frame)
        now = time.monotonic()
        if watch.is_enough(seconds):
            return
        if now - told >= TELL_SECONDS:
            told = now
            tell(watch.findings(undecoded=reader.undecoded, damaged=reader.damaged))
    watch.to_the_end = True


class WatchedReader(VideoReader):
    """The reader of a camera worker; what goes through it is counted, and nothing is changed."""

    def __init__(self, opened: Opened, *, source: SourceConfig, address: str, watch: Watch) -> None:
        super().__init__(opened, source=source, address=address, next_epoch=count(1).__next__)
        self._watch = watch

    def _read(self) -> Packet[VideoStream] | None:
        packet = super()._read()
        if packet is not None:
            self._watch.saw_packet(packet)
        return packet

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        pictures = super()._decode(packet)
        for picture in pictures:
            self._watch.saw_picture(picture)
        return pictures
