"""Basic and digest authentication (RFC 2617) as a camera checks it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from tests.cameras.messages import Request

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom a camera lets in."""

    user: str
    password: str
    scheme: Literal["digest", "basic"] = "digest"
    realm: str = "everyframe"
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate`."""
        if self.scheme == "basic":
            return f'Basic realm="{self.realm}"'
        return f'Digest realm="{self.realm}", nonce="{self.nonce}"'

    def accept(self, request: Request) -> bool:
        """Whether the request proves that it knows the password."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != self.scheme:
            return False
        if self.scheme == "basic":
            return given == base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return self._accept_digest(request.method, given)

    def _accept_digest(self, method: str, given: str) -> bool:
        parameters = {match[1]: match[2] if match[2] is not None else match[3] for match in _PARAMETER.finditer(given)}
        if parameters.get("nonce") != self.nonce or parameters.get("username") != self.user:
            return False
        who = _md5(f"{self.user}:{self.realm}:{self.password}")
        what = _md5(f"{method}:{parameters.get('uri', '')}")
        return parameters.get("response") == _md5(f"{who}:{self.nonce}:{what}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
