"""What goes to the error stream, without secrets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from pipeline import address
from pipeline.address import has_password, redact, split_name
from pipeline.errors import AddressError
from pipeline.redis_address import is_redis


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
    """The text with the secrets of an address in it replaced; messages are made without, and this is the net below."""
    return address.without_secrets(text, [address_in(argument)])


def address_in(argument: str) -> str:
    """The address of `name=url`, `--option=url` or `url`."""
    try:
        return split_name(argument)[1]
    except AddressError:  # what stands before the '=' is no name; what comes after may be an address all the same
        return argument.partition("=")[2]


def warn_of_passwords(sources: Iterable[str]) -> None:
    """Tell of passwords on the command line, and offer the way out."""
    for warning in password_warnings(sources):
        complain(f"everyframe: warning: {warning}")


def password_warnings(sources: Iterable[str]) -> Iterator[str]:
    """For each password on the command line, where every user of the machine can read it, the way out."""
    for source in sources:
        name, url = split_name(source)
        if has_password(url):
            variable = "REDIS_PASSWORD" if is_redis(url) else "CAMERA_PASSWORD"
            hidden = redact(url)
            where, instead = ("***@", "USER:{}@") if "***@" in hidden else ("?***", "?NAME={}")
            hidden = hidden.replace(where, instead.format(f"${{{variable}}}"), 1)
            yield (
                f"a password on the command line can be read by every user of this machine; "
                f"put it into the environment and write '{f'{name}=' if name else ''}{hidden}' (in single quotes)"
            )
