"""Where a Redis server may be."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from pipeline.address import redact
from pipeline.errors import UsageError

DEFAULT_PREFIX: Final = "everyframe:"  # of the names of streams
SCHEMES: Final = ("redis", "rediss", "unix")
CA, CERTIFICATE, KEY = FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Anything else a client library reads from an address could switch off what is relied on (time-outs, certificates).
OPTIONS: Final = frozenset({"db", *FILES})

_TCP = re.compile(
    r"rediss?://(?:(?P<credentials>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<db>[0-9]{0,4}))?",
    re.DOTALL,
)
_UNIX = re.compile(r"unix://(?:(?P<credentials>.*)@)?(?P<path>/[^?#\s]+)", re.DOTALL)


def is_redis(address: str) -> bool:
    """Whether the address is one of Redis, well formed or not."""
    return address.partition(":")[0].lower() in SCHEMES


def check_redis_address(address: str, *, setting: str = "") -> str:
    """The address itself if a Redis server may be there, `${NAME}` in it unread. Raises `UsageError`."""
    where = f"{setting}: " if setting else ""
    if address.startswith("${"):
        return address  # stands in the environment as a whole, and is looked at when it is taken from there
    plain, query = _split(address)
    match = _TCP.fullmatch(plain) or _UNIX.fullmatch(plain)
    port = match.groupdict().get("port") if match is not None else None
    if match is None or (port is not None and not 0 < int(port) < 65536):
        raise UsageError(
            f"{where}{redact(address)!r} is not an address of Redis; redis://HOST:PORT/0, "
            "rediss://USER:${NAME}@HOST:PORT/0 and unix:///PATH are"
        )
    named = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    unknown = [name for name in named if name not in OPTIONS]
    if unknown:
        raise UsageError(f"{where}{redact(address)!r}: option {unknown[0]!r}; {', '.join(sorted(OPTIONS))} are allowed")
    misplaced = [name for name in named if name in FILES]
    if misplaced and not plain.startswith("rediss:"):
        raise UsageError(f"{where}{redact(address)!r}: option {misplaced[0]!r} is for rediss://, which speaks TLS")
    return address


def encoded(address: str) -> str:
    """A checked address with all of its credentials percent-encoded, so that nobody reads a host or a path in them."""
    plain, _ = _split(address)
    match = _TCP.fullmatch(plain) or _UNIX.fullmatch(plain)
    if match is None or match["credentials"] is None:
        return address
    user, colon, password = (quote(unquote(part), safe="") for part in match["credentials"].partition(":"))
    start, end = match.span("credentials")
    return f"{address[:start]}{user}{':' if colon else ''}{password}{address[end:]}"


def _split(address: str) -> tuple[str, str]:
    """What stands before the options, and the options; a question mark within credentials begins none."""
    rest = address.rpartition("@")[2]
    query = rest.partition("?")[2]
    return address.removesuffix(f"?{query}") if "?" in rest else address, query
