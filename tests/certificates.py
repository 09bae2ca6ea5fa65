"""Certificates of a test's own: an authority, and what it signs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.require import skip_without

ELLIPTIC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Pair(NamedTuple):
    """The files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates. Its own is `pair.certificate`."""

    def __init__(self, folder: Path, *, name: str = "authority") -> None:
        """Without openssl the test is skipped."""
        if shutil.which("openssl") is None:
            skip_without("openssl", lacking="openssl to make certificates")
        self._folder = folder
        self.pair = self._made(name)

    def sign(self, name: str, *, valid_for: str) -> Pair:
        """A certificate for what `valid_for` says, as in ``IP:127.0.0.1`` or ``DNS:redis.example.com``."""
        extensions = (f"subjectAltName={valid_for}", "basicConstraints=critical,CA:FALSE")
        return self._made(name, "-CA", *self.pair[:1], "-CAkey", *self.pair[1:], *_each("-addext", extensions))

    def _made(self, name: str, *options: str | Path) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        files = ("-out", pair.certificate, "-keyout", pair.key)
        command = ["openssl", "req", "-x509", *ELLIPTIC, "-subj", f"/CN={name}", *files, *options]
        subprocess.run(command, check=True, capture_output=True)
        return pair


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]
