"""What a worker writes through, so that a test can end it at any write.

A blown `Fuse` ends a worker in the middle of whatever it was doing, and nothing it would do afterwards (the end of a
`with`, say) reaches the board or a link any more. SIGKILL does that.
"""

from __future__ import annotations

from typing import Any

from pipeline.links.memory import MemoryLink


class Killed(BaseException):
    """A worker is no more."""


class Fuse:
    """Blows at a write of its worker: at the `at`-th from `arm` on."""

    def __init__(self) -> None:
        self.left: int | None = None

    def arm(self, at: int | None) -> None:
        self.left = at

    def burn(self) -> None:
        if self.left is None:
            return
        if self.left <= 0:
            raise Killed
        self.left -= 1


class FusedWords:
    """Words of the board as one worker sees them."""

    def __init__(self, words: memoryview, fuse: Fuse) -> None:
        self.real, self._fuse = words, fuse

    def __len__(self) -> int:
        return len(self.real)

    def __getitem__(self, at: Any) -> Any:
        found = self.real[at]
        return FusedWords(found, self._fuse) if isinstance(at, slice) else found

    def __setitem__(self, at: Any, value: Any) -> None:
        self._fuse.burn()
        self.real[at] = value.real if isinstance(value, FusedWords) else value


class SharedLink(MemoryLink):
    """A link that one of several senders may leave, and whose content can be looked at."""

    @property
    def content(self) -> list[list[bytes]]:
        return list(self._messages)

    def close(self, *, flush_seconds: float = 0.0) -> None:
        pass


class FusedLink:
    """A link as one of its senders sees it."""

    def __init__(self, link: SharedLink, fuse: Fuse) -> None:
        self._link, self._fuse = link, fuse

    def send(self, parts: list[bytes]) -> bool:
        self._fuse.burn()
        return self._link.send(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)
