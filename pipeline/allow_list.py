"""The public keys that are let in: a file with a line ``KEY NAME`` each, read again when it changes.

Blank lines, and remarks that begin with ``#`` (no key does), are passed over. A key that was taken out is refused the
next time it connects; whoever is connected stays so until then, because ZeroMQ asks at the start of a connection only.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.keys import PublicKey, is_key

SETTING = "publish.clients"
MOST_BYTES = 1 << 20  # some 20,000 keys


class AllowList:
    """Who is let in, as the file says now. While it cannot be read, what it said before holds; `fault` tells why."""

    def __init__(self, path: str | Path) -> None:
        """Raises `ConfigError` where there is no such list: what is wrong from the start is no edit under way."""
        self.path = Path(path)
        self.fault = ""
        self._seen: tuple[int, int, int] | None = None
        self._keys: frozenset[str] = frozenset()
        self._reread()

    def allows(self, key: str) -> bool:
        """Whether the key is in the list."""
        try:
            self._reread()
            self.fault = ""
        except ConfigError as exc:
            self.fault = str(exc)
        return key in self._keys

    def _reread(self) -> None:
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            if found.st_size > MOST_BYTES:
                raise ConfigError(f"{SETTING}: {self.path} is larger than {MOST_BYTES} bytes; it is no list of keys")
            text = self.path.read_text(encoding="utf-8")
        except OSError as exc:
            raise ConfigError(f"{SETTING}: {self.path} cannot be read: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(
                f"{SETTING}: {self.path} is no text; a line 'KEY NAME' for each client is needed"
            ) from exc
        self._keys = frozenset(entry.key for entry in entries(text, str(self.path)))
        self._seen = seen


def entries(text: str, origin: str) -> list[PublicKey]:
    """The keys of a list, in its order. Raises `ConfigError` naming the first line that holds none."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        key, _, name = line.strip().partition(" ")
        if not key or key.startswith("#"):
            continue
        if not is_key(key):
            raise ConfigError(
                f"{SETTING}: {origin}, line {number}: no public key; 'KEY NAME' is one, as 'everyframe keys show NAME' "
                "prints it, and '# ...' a remark"
            )
        found.append(PublicKey(key, name.strip()))
    return found
