"""Compiled loops work where nothing can be written (as root too: files stand where folders are wanted)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import stages.compiled

LOOP = """
from stages.compiled import compiled

@compiled("int64(int64)")
def twice(n):
    return 2 * n

print(twice(21))
"""


def test_a_loop_compiles_without_a_place_for_the_cache(tmp_path: Path) -> None:
    module = tmp_path / "loop.py"
    module.write_text(LOOP)
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    root = Path(stages.compiled.__file__).parents[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(blocked),
        "XDG_CACHE_HOME": str(blocked),
        "NUMBA_CACHE_DIR": str(blocked / "cache"),
    }
    (tmp_path / "__pycache__").write_text("not a directory either")
    done = subprocess.run([sys.executable, module], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "42", done.stderr
