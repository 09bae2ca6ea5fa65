"""Opening a source: the one function the runtime calls."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config import SourceConfig, expand
from pipeline.stage import Reader


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int]) -> Reader:
    """A reader of the source's frames. `next_epoch` is called at opening and at every change of picture size.

    `${NAME}` in the address is filled in here and nowhere earlier. Raises `AddressError` where a variable is not set
    or the scheme is not allowed; `SourceNotFound`, `SourceUnreachable`, `SourceUnauthorized`, `SourceUnsupported` as
    `pipeline.errors` tells them apart. Messages and their causes hold no credentials.
    """
    # PyAV costs 50 ms and 25 MB, which `everyframe --help` and the publisher need not pay.
    from stages.decode.container import open_container
    from stages.decode.reader import VideoReader

    address = expand(source.url)
    opened = open_container(source, address)
    return VideoReader(opened, source=source, address=address, next_epoch=next_epoch)
