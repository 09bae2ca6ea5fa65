"""Standard input as FFmpeg reads it: bytes as they come, for as long as they are wanted."""

from __future__ import annotations

import os
import select
import stat
from typing import BinaryIO

from pipeline.config import SourceConfig
from pipeline.errors import SourceUnreachable
from pipeline.stage import Access
from stages.decode.faults import named

LOOK_UP_MS = 200  # how long the runtime goes unheard while nothing comes


class PipedInput:
    """What comes through a pipe or a socket; waiting for it does not keep the runtime from being heard."""

    def __init__(self, descriptor: int, access: Access) -> None:
        self._descriptor, self._access = descriptor, access
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def read(self, most: int) -> bytes:
        """Up to so many bytes, at least one; none at the end, which is also where no more is wanted."""
        while True:
            if not self._poll.poll(LOOK_UP_MS):
                if not self._access.wait(0.0):
                    return b""
                continue
            try:
                return os.read(self._descriptor, most)
            except BlockingIOError:  # another reader of the same pipe was faster
                continue


BinaryInput = PipedInput | BinaryIO


def standard_input(source: SourceConfig, access: Access) -> BinaryInput:
    """The input, which can be sought in where it is a file. Raises `SourceUnreachable` where there is none."""
    descriptor = access.standard_input
    try:
        if descriptor is None:
            raise SourceUnreachable(f"{named(source)}: there is no standard input here to be read")
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return open(os.dup(descriptor), "rb")
    except OSError as exc:
        raise SourceUnreachable(f"{named(source)}: standard input cannot be read: {exc.strerror}") from None
    return PipedInput(descriptor, access)
