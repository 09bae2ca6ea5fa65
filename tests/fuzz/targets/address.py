"""Source addresses: `AddressError` or an address that can be shown; its secret is in nothing that is shown.

The input's parts, divided by zero bytes, become what stands around the secret in an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import quote, unquote

from pipeline.address import derive_source_id, expand, has_password, is_folder, redact, scheme_of, scrub, split_name
from pipeline.config import PipelineConfig, SourceConfig, dump, named_sources
from pipeline.errors import UsageError

SECRET = "Zq7canaryQz9"
_PARTS = 5
_NAME_OF_A_VARIABLE = re.compile(rf"\$\{{\w*{SECRET}\w*\}}")  # which is no secret, and is shown


def encoded(text: str) -> str:
    """As it stands in a URL that is written by the book."""
    return quote(text, safe="", errors="surrogateescape")


FORMS: tuple[Callable[[str, str, str, str, str], str], ...] = (
    lambda user, before, after, host, path: f"rtsp://{user}:{before}{SECRET}{after}@{host}/{path}",
    lambda user, before, after, host, path: f"http://{user}:{encoded(before + SECRET + after)}@{host}/{path}",
    lambda user, before, after, host, path: f"rtsps://{SECRET}{encoded(before + after)}@{host}/{path}",
    lambda user, before, after, host, path: f"https://{host}/{path}?{before}={SECRET}{after}",
    lambda user, before, after, host, path: f"{user}=rtsp://{before}:{SECRET}{after}@{host}/{path}",
    lambda user, before, after, host, path: f"{user}rtsp://{before}:{SECRET}{after}@{host}/{path}",
)


def one_input(data: bytes) -> None:
    """Everything that shows or parses an address, on one with a secret and on the bytes themselves."""
    if not data:
        return
    text = data[1:].decode("utf-8", "surrogateescape")
    parts = (text.split("\x00", _PARTS - 1) + [""] * _PARTS)[:_PARTS]
    address = FORMS[data[0] % len(FORMS)](*parts)
    shown = show(address)
    assert SECRET not in shown or _NAME_OF_A_VARIABLE.search(address), shown
    show(text)
    expand("rtsp://${CAM}@host/${CAM}", {"CAM": text})


def show(text: str) -> str:
    """All that we ever print of an address that somebody wrote."""
    seen: list[str] = []
    with Told(seen):
        name, url = split_name(text)
        if not url:  # which settings do not take
            return ""
        seen += [name or "", redact(url), scrub(f"cannot open '{url}', that is {unquote(url)}", url)]
        has_password(url)
        for ask in (scheme_of, is_folder, derive_source_id, expand_empty):
            with Told(seen):
                seen.append(str(ask(url)) if ask is not expand_empty else scrub(ask(url), url))
    with Told(seen):
        seen.append(dump(PipelineConfig(sources=named_sources([text]))))
        seen.append(SourceConfig(url=text).shown)
    return "\n".join(seen)


def expand_empty(url: str) -> str:
    """The address with an environment that names nothing."""
    return expand(url, {})


class Told(suppress):
    """Keeps the message of a refusal, which people see too."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__(UsageError)
        self._seen = seen

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if error is not None:
            self._seen.append(str(error))
        return bool(super().__exit__(kind, error, traceback))  # type: ignore[arg-type]


def seeds() -> Iterator[bytes]:
    """Addresses as people write them, in every form."""
    written = (
        b"admin\x00\x00\x00192.168.1.20:554\x00stream1?channel=1",
        b"admin\x00p@ss:\x00/w#rd\x00camera.lan\x00live",
        b"${USER}\x00${CAM}\x00\x00[fe80::1]\x00a/b?x=${TOKEN}",
        b"\x00token\x00&b=2\x00host\x00path",
        b"door\x00user\x00%40x\x00host\x00",
        b"C:\\videos\\clip.mp4",
        b"file:///tmp/clip.mp4",
        b"gate=/recordings/gate/",
        b"${REC}/",
        b"cam=-",
        b"webcam:0",
    )
    for form in range(len(FORMS)):
        yield from (bytes([form]) + text for text in written)
