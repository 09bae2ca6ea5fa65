"""Which library a model's name points to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pipeline.errors import ConfigError


def check_known(name: str, known: Iterable[str], *, setting: str) -> None:
    """Refuse a name that torchvision's list of ours does not have. Raises `ConfigError` with close ones."""
    names = sorted(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
        raise ConfigError(f"{setting}: torchvision:{name} is not known; {hint}")
