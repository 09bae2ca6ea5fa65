"""Where what runtimes make of networks is kept, so that the next start is quicker."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*names: str) -> Path | None:
    """A folder of ours in the user's cache, made if need be; None where that cannot be written."""
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(home) if home else Path.home() / ".cache").joinpath("everyframe", *names)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
