"""Reading a folder that a recorder writes segments into: one file after the other, for as long as it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from pipeline.config import SourceConfig, local_path
from pipeline.errors import AddressError, SourceError
from pipeline.messages import Frame
from pipeline.stage import Access, StreamInfo
from stages.decode.container import open_container
from stages.decode.reader import VideoReader
from stages.decode.segments import Segments


class FolderReader:
    """Frames of a folder's segments in order of their names, each segment in an epoch of its own; a `Reader`.

    It waits for the next segment as long as `access.wait` lets it. A segment that cannot be read is complained of and
    counted; what of it gave no frame is in `undecoded`, at least 1.
    """

    def __init__(self, source: SourceConfig, *, address: str, next_epoch: Callable[[], int], access: Access) -> None:
        """`address`: the folder. Nothing is looked into before the first frame is asked for."""
        self._source, self._next_epoch, self._access = source, next_epoch, access
        self._segments = Segments(
            local_path(address).absolute(), source=source, taken=access.taken, files_root=access.files_root
        )
        self._reader: VideoReader | None = None
        self._info = StreamInfo("", 0, 0, frame_rate=None, frame_count=None)
        self._undecoded = self._damaged = self._received_bytes = 0  # of the segments before this one

    @property
    def info(self) -> StreamInfo:
        """The stream of the segment that is read, or was read last; how many frames will come, nobody knows."""
        if self._reader is not None:
            self._info = replace(self._reader.info, frame_count=None)
        return self._info

    @property
    def undecoded(self) -> int:
        """Packets so far that gave no frame."""
        return self._undecoded + (self._reader.undecoded if self._reader is not None else 0)

    @property
    def damaged(self) -> int:
        """Frames so far that the decoder had to guess parts of."""
        return self._damaged + (self._reader.damaged if self._reader is not None else 0)

    @property
    def received_bytes(self) -> int:
        """Bytes of video packets so far."""
        return self._received_bytes + (self._reader.received_bytes if self._reader is not None else 0)

    def __iter__(self) -> Iterator[Frame]:
        """Frames until no more are wanted. Raises `SourceError`, `AddressError` where the folder cannot be read."""
        access = self._access
        while True:
            segment = self._segments.next()
            if segment is not None:
                access.take(access.taken.last)
                yield from self._frames_of(segment)
            if not access.wait(0.0 if segment is not None else self._source.poll_seconds):
                return

    def close(self) -> None:
        """Close the segment that is open. Calling it twice does no harm."""
        if self._reader is not None:
            self._undecoded, self._damaged = self.undecoded, self.damaged
            self._received_bytes, self._info = self.received_bytes, self.info
            reader, self._reader = self._reader, None
            reader.close()

    def _frames_of(self, segment: Path) -> Iterator[Frame]:
        source = msgspec.structs.replace(self._source, url=str(segment))
        before = self.undecoded
        try:
            opened = open_container(source, str(segment), access=self._access)
            self._reader = VideoReader(opened, source=source, address=str(segment), next_epoch=self._next_epoch)
            yield from self._reader
        except (SourceError, AddressError) as exc:
            self._access.taken.failed += 1
            self._undecoded += self.undecoded == before
            text = f"{exc}; segments that could not be read so far: {self._access.taken.failed}"
            self._access.complain(text.encode("utf-8", "replace").decode())  # a file's name may be no text
        finally:
            self.close()
