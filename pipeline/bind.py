"""Where HTTP may be listened for: loopback for everybody, other addresses only for those who show a token."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.errors import ConfigError

LEAST_TOKEN_CHARACTERS: Final = 16

_WRITTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+):(?P<port>[0-9]{1,5})")
_NAMED_TOKEN = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Bind:
    """An address of this machine to listen on."""

    host: str  # an IP address
    port: int  # 0: any that is free

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_v6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_v6 else f"{self.host}:{self.port}"


def bind_of(text: str, *, setting: str = "api.bind") -> Bind:
    """`HOST:PORT` read; HOST is an IP address or localhost. Raises `ConfigError`."""
    match = _WRITTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"{setting}: {text!r} is not HOST:PORT; 127.0.0.1:9560 is, and [::1]:9560")
    host = "127.0.0.1" if match["host"] == "localhost" else match["host"].strip("[]")
    try:
        return Bind(str(ipaddress.ip_address(host)), int(match["port"]))
    except ValueError as exc:
        raise ConfigError(f"{setting}: {host!r} is neither an IP address nor localhost") from exc


def check_api(bind: str | None, token: str | None) -> None:
    """Refuse settings under which anybody on the network could listen in. Raises `ConfigError`."""
    if token is not None and _NAMED_TOKEN.fullmatch(token) is None:
        raise ConfigError("api.token: it must stand in the environment; write ${NAME} here, not the token itself")
    if bind is not None and not bind_of(bind).is_loopback and token is None:
        raise ConfigError(
            f"api.bind: {bind} can be reached from other machines and api.token is not set; "
            "use 127.0.0.1 or [::1], or set api.token to ${NAME}"
        )


def token_of(setting: str | None, environment: Mapping[str, str] | None = None) -> str | None:
    """The token that `${NAME}` stands for; None for none. Raises `ConfigError` for one that is no protection."""
    if setting is None:
        return None
    match = _NAMED_TOKEN.fullmatch(setting)
    assert match is not None, "checked by check_api"
    token = (os.environ if environment is None else environment).get(match["name"], "")
    if len(token) < LEAST_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"api.token: the environment variable {match['name']} is not set, or is no token: "
            f"{LEAST_TOKEN_CHARACTERS} or more printable ASCII characters without spaces are"
        )
    return token
