"""Source addresses: reading `name=url`, deriving a source id, filling in `${ENV}`, and showing one without its secrets.

A path that ends with ``/`` is a folder watched for segments; settings write one so (see `pipeline.config.sources`).
``-`` is standard input; a file of that name is ``./-``. ``webcam:0`` is the video device ``/dev/video0`` of this
machine.

The rule for a source without a name: a file is called by its stem, a folder by its name, standard input ``stdin``,
``webcam:0`` is ``webcam-0``, a URL by host and path; every run of characters other than letters, digits, ``.``, ``_``
and ``-`` becomes one ``-``. A second source of the same name gets ``-2``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from pipeline.errors import AddressError

STANDARD_INPUT = "-"
SCHEMES = ("rtsp", "rtsps", "http", "https", "webcam", "file")

_WEBCAM = re.compile(r"webcam:(?P<number>[0-9]{1,3})", re.IGNORECASE)
_SOURCE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAMED = re.compile(r"(?P<name>[^=/:?]*)=(?P<url>.+)", re.DOTALL)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)
# What may hold a secret, wherever in a text it begins; also with one slash, as people mistype it.
_ADDRESS = re.compile(
    r"(?P<start>.*?(?:[a-z][a-z0-9+.-]*://|(?:rtsps?|https?|rediss?):/?))(?P<rest>.*)", re.DOTALL | re.IGNORECASE
)
_QUERY = re.compile("[?#]")
_PORT_AT_END = re.compile(r":\d*\Z|\](:\d*)?\Z")
_A_HOST = re.compile(r"[^:/?#&=@\s][^/?#&=@\s]*(?:[/?#]|$)")  # what an '@' is followed by where it ends credentials
_HIDDEN = "***"
_BREAKS = re.compile(r"[@/?#:%&=\\'\"\s]|%40")  # where a parser may split, and where a repr writes something else
_SHORTEST_PIECE = 3  # shorter pieces of a secret would blot out ordinary words
_SECRET_NAME = re.compile("pass|pwd|token|key|secret|auth", re.IGNORECASE)  # of a query's value
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def check_source_id(source_id: str) -> str:
    """The id itself if it may name a source. Raises `AddressError` if not."""
    if not _SOURCE_ID.fullmatch(source_id) or source_id.strip(".") == "":
        shown = redact(source_id)
        raise AddressError(
            f"source name {shown!r} is not allowed; 1 to 64 letters, digits, '.', '_' or '-' are (no '/', no '=')"
        )
    return source_id


def split_name(text: str) -> tuple[str | None, str]:
    """`name=url` as (name, url), anything else as (None, text). A path that exists under the whole text is a path."""
    match = _NAMED.fullmatch(text)
    if match is None or _exists(text):
        return None, text
    return check_source_id(match["name"]), match["url"]


def scheme_of(url: str) -> str:
    """The scheme in lower case, ``file`` for a plain path, ``stdin`` for standard input.

    Raises `AddressError` for one that is not allowed.
    """
    url = _known(url)
    if url == STANDARD_INPUT:
        return "stdin"
    match = _SCHEME.fullmatch(url)
    if match is None or _exists(url):
        return "file"
    scheme = match["scheme"].lower()
    if scheme not in SCHEMES:
        raise AddressError(
            f"source {redact(url)!r} has the scheme {scheme!r}; allowed are {', '.join(SCHEMES)} and plain file paths"
        )
    return scheme


def is_live(url: str) -> bool:
    """Whether the address names a camera rather than a recording."""
    return scheme_of(url) not in ("file", "stdin")


def is_folder(url: str) -> bool:
    """Whether the address names a folder that is watched for segments: by how it is written, whatever is there."""
    return scheme_of(url) == "file" and _known(url).endswith("/")


def is_recording(url: str) -> bool:
    """Whether the address names what comes to an end by itself, and is the same whenever it is read."""
    return not is_live(url) and not is_folder(url)


def local_path(url: str) -> Path:
    """The path a file address names."""
    return Path(url.removeprefix("file://") if url.lower().startswith("file://") else url)


def device_path(url: str) -> Path:
    """The device a ``webcam:`` address names. Raises `AddressError`."""
    match = _WEBCAM.fullmatch(_known(url))
    if match is None:
        raise AddressError(f"source {redact(url)!r} is no webcam; webcam:0 is /dev/video0, webcam:1 is /dev/video1")
    return Path(f"/dev/video{int(match['number'])}")


def derive_source_id(url: str) -> str:
    """A name for a source that was given none; see the module's rule."""
    url = _known(url)
    scheme = scheme_of(url)
    if scheme == "stdin":
        return scheme
    if scheme == "file":
        path = local_path(redact(url))
        text = path.name if is_folder(url) else path.stem
    elif scheme == "webcam":
        text = url.lower()
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
        return quote(values[name], safe=":", errors="surrogateescape") if inside_credentials else values[name]

    return _VARIABLE.sub(value, url)


def redact(url: str) -> str:
    """The address fit to be shown: user and password gone, query values gone; what only names `${ENV}` stays.

    Without a scheme that can be recognised, what stands before an '@' and has a ':' in it is taken for credentials.
    """
    match = _ADDRESS.match(url)
    if match is None:
        path, at, after = url.rpartition("@")
        return f"***@{after.partition('?')[0]}" if ":" in path and not _exists(url) else url
    credentials, at, after = _split(match["rest"])
    path, question, query = after.partition("?")
    path = path.partition("#")[0]
    return f"{match['start']}{_shown_credentials(credentials)}{at}{path}{question}{_shown_query(query)}"


def _split(rest: str) -> tuple[str, str, str]:
    """What follows `scheme://` as credentials, the '@' that ends them, and what is left to be shown.

    A password may hold '/', '?' or '#', so the last '@' ends the credentials; but a query may hold an '@' as well
    (``?user=me@home&password=...``). What can be read both ways is a secret both ways.
    """
    before = _QUERY.split(rest, maxsplit=1)[0]
    if "@" not in rest[len(before) :]:
        return rest.rpartition("@")
    after = rest.rpartition("@")[2]
    reads_as_host = _A_HOST.match(after) is not None
    if ":" in before and not _PORT_AT_END.search(before) and "/" not in before and "@" not in before:
        # What follows an '=' may be a query's value, wherever the '@' belongs.
        shows_value = "=" in after.partition("?")[0]
        return rest.rpartition("@") if reads_as_host and not shows_value else (rest, "@", _HIDDEN)
    if "/" in before and ":" not in before and "@" not in before and not reads_as_host:
        return "", "", rest
    return rest, "@", _HIDDEN


def _shown_credentials(credentials: str) -> str:
    """`***`, or what stands for the credentials where the password comes from the environment."""
    user, colon, password = credentials.partition(":")
    if all(_is_variable(part) for part in (user, password) if part):
        return credentials
    return f"***:{password}" if colon and _is_variable(password) else "***"


def _shown_query(query: str) -> str:
    """The query where every value comes from the environment, else `***`."""
    all_named = all(_is_variable(pair.partition("=")[2]) for pair in query.split("&"))
    return query if all_named or not query else "***"


def _is_variable(text: str) -> bool:
    return bool(text) and not _VARIABLE.sub("", text)


def has_password(url: str) -> bool:
    """Whether a password, or what a query calls one, stands in the address itself and not in the environment."""
    match = _SCHEME.fullmatch(url)
    if match is None:
        return False
    credentials, _, after = match["rest"].removeprefix("//").rpartition("@")
    pairs = (pair.partition("=") for pair in after.partition("?")[2].partition("#")[0].split("&"))
    values = [value for name, _, value in pairs if _SECRET_NAME.search(name)]
    return any(_VARIABLE.sub("", secret) for secret in (credentials.partition(":")[2], *values))


def secrets_of(url: str) -> tuple[str, ...]:
    """The strings of an expanded address that must never be shown, longest first: credentials and query values.

    Each is there as written, decoded, and in the pieces a parser that splits it at the wrong place would print.
    """
    match = _ADDRESS.match(url)
    rest = url if match is None else match["rest"]
    if match is None and ":" not in url.rpartition("@")[0]:
        return ()
    credentials = rest.rpartition("@")[0]
    user, colon, password = credentials.partition(":")
    query = rest.rpartition("@")[2].partition("?")[2]
    written = {credentials, password if colon else user, query, *_read_two_ways(rest)}
    found = written | {unquote(text) for text in written}
    whole = {credentials, unquote(credentials)}  # its pieces hold the user's name, an ordinary word as often as not
    pieces = {piece for text in found - whole for piece in _BREAKS.split(text)}
    return tuple(sorted((found | {p for p in pieces if len(p) > _SHORTEST_PIECE}) - {""}, key=len, reverse=True))


def _read_two_ways(rest: str) -> tuple[str, ...]:
    """What may be a secret besides the usual, where an '@' stands in what may be a query."""
    before, *queries = _QUERY.split(rest, maxsplit=1)
    if not queries or "@" not in queries[0]:
        return ()
    return (*queries, before) if _split(rest)[2] == _HIDDEN else (*queries,)


def scrub(text: str, url: str) -> str:
    """Foreign text (an FFmpeg message, say) with the address and its secrets replaced."""
    secrets = secrets_of(url)
    return redact(url).join(_without(part, secrets) for part in text.split(url))


def without_secrets(text: str, urls: Iterable[str]) -> str:
    """Text that nobody expected (of an error that is no source's) without the secrets of addresses as written.

    Those from the environment as well. Very short secrets are found in the whole address only: replacing every "p"
    would leave nothing to read.
    """
    for url in urls:
        for written in dict.fromkeys((_expanded(url), url)):
            text = text.replace(written, redact(written))
            text = _without(text, tuple(secret for secret in secrets_of(written) if len(secret) > _SHORTEST_PIECE))
    return text


def _expanded(url: str) -> str:
    try:
        return expand(url)
    except AddressError:  # a variable that is not set holds no secret
        return url


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _exists(path: str) -> bool:
    """Whether there is such a file; what the system will not even look for (a name too long) is none."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2]


def _known(url: str) -> str:
    """An address that stands as a whole in the environment, from there; any other as it is."""
    return expand(url) if _VARIABLE.match(url) else url
