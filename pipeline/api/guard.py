"""Who may ask: whoever is on this machine, or shows the token; never a web page in somebody's browser."""

from __future__ import annotations

import hmac
import ipaddress
from http import HTTPStatus

from pipeline.api.exchange import Request, Response, refusal


class Guard:
    """Refuses what is not to be answered."""

    def __init__(self, token: str | None) -> None:
        """`token`: what every request must carry as ``Authorization: Bearer``; None: it is listened on loopback."""
        self._token = None if token is None else token.encode("ascii")

    def refuse(self, request: Request) -> Response | None:
        """The answer to a request that may not be asked; None for one that may."""
        if self._token is not None:
            return None if self._shows_token(request, self._token) else _unauthorized()
        if not is_this_machine(request.headers.get("host", "")):
            # A page whose name was made to resolve to 127.0.0.1 (DNS rebinding) still sends that name.
            return refusal(
                HTTPStatus.FORBIDDEN, "ask for this machine by the name localhost or by its loopback address"
            )
        return None

    @staticmethod
    def _shows_token(request: Request, token: bytes) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        given = shown.strip().encode("latin-1", "replace")
        return hmac.compare_digest(given, token) and scheme.lower() == "bearer"


def _unauthorized() -> Response:
    return refusal(HTTPStatus.UNAUTHORIZED, "send the token as 'Authorization: Bearer ...'", WWW_Authenticate="Bearer")


def is_this_machine(host: str) -> bool:
    """Whether a Host header names the machine itself; one that was not sent (HTTP/1.0) does."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    if name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
