"""A file that is written up to the first write that fails, and is then cut back to where it was whole."""

from __future__ import annotations

import io
import os


class UntilFull(io.RawIOBase):
    """For a writer whose output is whole again and again, as an MP4 is with each of its fragments.

    A fragment that a full disk cut off makes the whole file unreadable for FFmpeg where the cut is in the fragment's
    head (measured: 3 files of 10). So at the first failure the file is cut back to its last whole state, and nothing is
    written from then on: what a writer does to close its file would only spoil it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises `OSError` where the file cannot be made."""
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._failed = False
        self._whole = 0  # bytes

    def is_whole(self) -> None:
        """Take note that what is written so far can be read."""
        if not self._failed:
            self._whole = os.fstat(self._file.fileno()).st_size

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write all of it. Raises the first `OSError`; from then on nothing is written, and nothing said."""
        if not self._failed:
            left = memoryview(data)
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                self._failed = True
                self._file.truncate(self._whole)
                raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As in any file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the file. Calling it twice does no harm."""
        self._file.close()
        super().close()
