"""Opening a local file for FFmpeg: a regular one with something in it, within the root of files where one is set."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config import SourceConfig, check_opened, local_path
from pipeline.errors import SourceError, SourceNotFound, SourceUnreachable, SourceUnsupported
from stages.decode.faults import named


@contextmanager
def local_file(source: SourceConfig, address: str, *, files_root: str | None) -> Iterator[str]:
    """What FFmpeg is to open, for as long as this lasts: so written that it reads no protocol into the name.

    Under a root, FFmpeg opens the very file that was checked, by its descriptor: a link that is put in the way after
    the check leads nowhere. Raises `SourceError`, `AddressError`.
    """
    path = local_path(address)
    descriptor = _opened(path, named(source))
    try:
        _check(os.fstat(descriptor), named(source))
        if files_root is None:
            yield f"file:{path.absolute()}"
        else:
            check_opened(descriptor, files_root, who=source.source_id or source.shown, shown=path)
            yield f"file:/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _opened(path: Path, who: str) -> int:
    try:
        _check_kind(path.stat(), who)  # opening alone makes some devices do something
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe put there since holds nobody up
    except (FileNotFoundError, NotADirectoryError):
        fault: SourceError = SourceNotFound(f"{who} does not exist")
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        fault = SourceUnreachable(f"{who} cannot be opened: {getattr(exc, 'strerror', None) or exc}")
    raise fault  # out of the handler's reach: the other error quotes the name, which may be a mistyped address


def _check_kind(status: os.stat_result, who: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise SourceUnsupported(f"{who} is a folder; name a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceUnsupported(f"{who} is neither a file nor an address; a video file, rtsp:// or http:// is needed")


def _check(status: os.stat_result, who: str) -> None:
    _check_kind(status, who)
    if status.st_size == 0:
        raise SourceUnsupported(f"{who} is empty")
