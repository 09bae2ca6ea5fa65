"""Source addresses: reading `name=url`, deriving a source id, filling in `${ENV}`, and showing one without its secrets.

The rule for a source without a name: a file is called by its stem, a URL by host and path; every run of characters
other than letters, digits, ``.``, ``_`` and ``-`` becomes one ``-``. A second source of the same name gets ``-2``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from pipeline.errors import AddressError

SCHEMES = ("rtsp", "rtsps", "http", "https", "file")

_SOURCE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAMED = re.compile(r"(?P<name>[^=/:?]*)=(?P<url>.+)", re.DOTALL)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
_SHORTEST_PIECE = 3  # shorter pieces of a secret would blot out ordinary words
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def check_source_id(source_id: str) -> str:
    """The id itself if it may name a source. Raises `AddressError` if not."""
    if not _SOURCE_ID.fullmatch(source_id) or source_id.strip(".") == "":
        raise AddressError(
            f"source name {source_id!r} is not allowed; 1 to 64 letters, digits, '.', '_' or '-' are (no '/', no '=')"
        )
    return source_id


def split_name(text: str) -> tuple[str | None, str]:
    """`name=url` as (name, url), anything else as (None, text). A path that exists under the whole text is a path."""
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return None, text
    return check_source_id(match["name"]), match["url"]


def scheme_of(url: str) -> str:
    """The scheme in lower case, ``file`` for a plain path. Raises `AddressError` for one that is not allowed."""
    url = _known(url)
    match = _SCHEME.fullmatch(url)
    if match is None or Path(url).exists():
        return "file"
    scheme = match["scheme"].lower()
    if scheme not in SCHEMES:
        raise AddressError(
            f"source {redact(url)!r} has the scheme {scheme!r}; allowed are {', '.join(SCHEMES)} and plain file paths"
        )
    return scheme


def is_live(url: str) -> bool:
    """Whether the address names a camera rather than a recording."""
    return scheme_of(url) != "file"


def local_path(url: str) -> Path:
    """The path a file address names."""
    return Path(url.removeprefix("file://") if url.lower().startswith("file://") else url)


def derive_source_id(url: str) -> str:
    """A name for a source that was given none; see the module's rule."""
    url = _known(url)
    if scheme_of(url) == "file":
        text = local_path(url).stem
    else:
        text = _host(redact(url).partition("://")[2].removesuffix("?***"))
    derived = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64]
    return derived or "source"


def unique(source_id: str, taken: Iterable[str]) -> str:
    """The id, or with the first of ``-2``, ``-3``... that is not taken."""
    used = set(taken)
    if source_id not in used:
        return source_id
    number = 2
    while f"{source_id}-{number}" in used:
        number += 1
    return f"{source_id}-{number}"


def expand(url: str, environment: Mapping[str, str] | None = None) -> str:
    """The address with each `${NAME}` from the environment. Raises `AddressError` naming a variable that is not set.

    A value that falls inside the credentials is taken as it is typed, and percent-encoded where a URL needs it.
    """
    values = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in values:
            raise AddressError(f"source {redact(url)!r} needs the environment variable {name}, which is not set")
        inside_credentials = match.start() > 0 and "@" in url[match.end() :]
        return quote(values[name], safe=":") if inside_credentials else values[name]

    return _VARIABLE.sub(value, url)


def redact(url: str) -> str:
    """The address fit to be shown: user and password gone, query values gone; what only names `${ENV}` stays."""
    match = _SCHEME.fullmatch(url)
    if match is None or not match["rest"].startswith("//"):
        return url
    # A password may hold '/', '?' or '#': the last '@' still ends the credentials.
    credentials, at, after = match["rest"][2:].rpartition("@")
    path, question, query = after.partition("?")
    path = path.partition("#")[0]
    return f"{match['scheme']}://{_shown_credentials(credentials)}{at}{path}{question}{_shown_query(query)}"


def _shown_credentials(credentials: str) -> str:
    """`***`, or what stands for the credentials where the password comes from the environment."""
    _, colon, password = credentials.partition(":")
    if not credentials or _is_variable(credentials.replace(":", "")):
        return credentials
    return f"***:{password}" if colon and _is_variable(password) else "***"


def _shown_query(query: str) -> str:
    """The query where every value comes from the environment, else `***`."""
    all_named = all(_is_variable(pair.partition("=")[2]) for pair in query.split("&"))
    return query if all_named or not query else "***"


def _is_variable(text: str) -> bool:
    return bool(text) and not _VARIABLE.sub("", text)


def has_password(url: str) -> bool:
    """Whether a password stands in the address itself rather than in an environment variable."""
    match = _SCHEME.fullmatch(url)
    if match is None or "@" not in match["rest"]:
        return False
    credentials = match["rest"].removeprefix("//").rpartition("@")[0]
    password = credentials.partition(":")[2]
    return bool(_VARIABLE.sub("", password))


def secrets_of(url: str) -> tuple[str, ...]:
    """The strings of an expanded address that must never be shown, longest first: credentials and query values.

    Each is there as written, decoded, and in the pieces a parser that splits it at the wrong place would print.
    """
    match = _SCHEME.fullmatch(url)
    if match is None or not match["rest"].startswith("//"):
        return ()
    rest = match["rest"].removeprefix("//")
    credentials = rest.rpartition("@")[0]
    user, colon, password = credentials.partition(":")
    query = rest.rpartition("@")[2].partition("?")[2]
    written = {credentials, password if colon else user, query}
    found = written | {unquote(text) for text in written}
    whole = {credentials, unquote(credentials)}  # its pieces hold the user's name, an ordinary word as often as not
    pieces = {piece for text in found - whole for piece in re.split(r"[@/?#:%&=]|%40", text)}
    return tuple(sorted((found | {p for p in pieces if len(p) > _SHORTEST_PIECE}) - {""}, key=len, reverse=True))


def scrub(text: str, url: str) -> str:
    """Foreign text (an FFmpeg message, say) with the address and its secrets replaced."""
    secrets = secrets_of(url)
    return redact(url).join(_without(part, secrets) for part in text.split(url))


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2]


def _known(url: str) -> str:
    """An address that stands as a whole in the environment, from there; any other as it is."""
    return expand(url) if _VARIABLE.match(url) else url
