"""A file to be overwritten by every input, in the folder that the fuzzing process was given for it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path


@cache
def scratch(name: str) -> Path:
    """The same path for the same name. The folder is `TMPDIR`, which whoever starts the process takes away again."""
    return Path(tempfile.mkdtemp(prefix="scratch-")) / name
