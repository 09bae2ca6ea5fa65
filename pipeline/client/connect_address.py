"""Where a reader may connect."""

from __future__ import annotations

import re

from pipeline.address import redact
from pipeline.errors import UsageError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\s\[\]]+):(?P<port>[0-9]{1,5})")
HIGHEST_PORT = 65_535


def check_connect(address: str) -> str:
    """The address itself if results can be read there. Raises `UsageError`."""
    if address.startswith("ipc://") and len(address) > len("ipc://"):
        return address
    match = _TCP.fullmatch(address)
    if match is None or not 0 < int(match["port"]) <= HIGHEST_PORT:
        raise UsageError(
            f"{redact(address)!r} is not an address to subscribe at; tcp://HOST:PORT or ipc://PATH is needed, "
            "as the publisher prints it, or redis://HOST/0"
        )
    return address
