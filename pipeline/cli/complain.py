"""What goes to the error stream, without secrets."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from pipeline.address import expand, has_password, redact, secrets_of, split_name
from pipeline.errors import AddressError

SHORTEST_PIECE: Final = 4


def complain(text: str, arguments: Iterable[str] = ()) -> None:
    """Print to the error stream, every secret of the arguments replaced."""
    for argument in arguments:
        text = without_secrets(text, argument)
    print(text, file=sys.stderr, flush=True)


def about(source_id: str, message: str) -> str:
    """The message with the source's name before it, which many have already."""
    return message if message.startswith(f"{source_id}:") else f"{source_id}: {message}"


def in_one_line(text: str) -> str:
    """A message over several lines as one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def without_secrets(text: str, argument: str) -> str:
    """The text with the secrets of an address in it replaced, those from the environment as well.

    Messages are made without secrets; this is the net below. Very short secrets are found in the whole address only:
    replacing every "p" would leave nothing to read.
    """
    url = address_in(argument)
    for written in {url, _expanded(url)}:
        text = text.replace(written, redact(written))
        for secret in secrets_of(written):
            if len(secret) >= SHORTEST_PIECE:
                text = text.replace(secret, "***")
    return text


def _expanded(url: str) -> str:
    try:
        return expand(url)
    except AddressError:  # a variable that is not set holds no secret
        return url


def address_in(argument: str) -> str:
    """The address of `name=url`, `--option=url` or `url`."""
    try:
        return split_name(argument)[1]
    except AddressError:  # what stands before the '=' is no name; what comes after may be an address all the same
        return argument.partition("=")[2]


def warn_of_passwords(sources: Iterable[str]) -> None:
    """Tell of passwords on the command line, where every user of the machine can read them, and offer the way out."""
    for source in sources:
        name, url = split_name(source)
        if has_password(url):
            hidden = redact(url).replace("***@", "USER:${CAMERA_PASSWORD}@", 1)
            complain(
                f"everyframe: warning: a password on the command line can be read by every user of this machine; "
                f"put it into the environment and write '{f'{name}=' if name else ''}{hidden}' (in single quotes)",
            )
