"""Opening a source: the one function the runtime calls."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config import SourceConfig, expand, is_folder
from pipeline.stage import Access, Reader


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access | None = None) -> Reader:
    """A reader of the source's frames. `next_epoch` is called at opening, at every change of picture size, and
    where a camera's clock, believed at last, would take time back.

    Without `access`, files may lie anywhere, and of a folder what is complete is read, then it ends.

    `${NAME}` in the address is filled in here and nowhere earlier. Raises `AddressError` where a variable is not set,
    the scheme is not allowed, or a file lies outside `access.files_root`; `SourceNotFound`, `SourceUnreachable`,
    `SourceUnauthorized`, `SourceUnsupported` as `pipeline.errors` tells them apart. Messages and their causes hold no
    credentials.
    """
    # PyAV costs 50 ms and 25 MB, which `everyframe --help` and the publisher need not pay.
    from stages.decode.container import open_container
    from stages.decode.folder import FolderReader
    from stages.decode.reader import VideoReader

    address, access = expand(source.url), access or Access()
    if is_folder(address):
        return FolderReader(source, address=address, next_epoch=next_epoch, access=access)
    opened = open_container(source, address, access=access)
    return VideoReader(opened, source=source, address=address, next_epoch=next_epoch)
