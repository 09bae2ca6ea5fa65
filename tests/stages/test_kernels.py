"""Every Triton kernel in Triton's interpreter, in a child process: the choice must precede the import of Triton."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import INTERPRETED

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(INTERPRETED, reason="this is the child")
def test_kernels_in_the_interpreter() -> None:
    pytest.importorskip("triton", minversion="3.8", reason="needs Triton 3.8, whose interpreter knows numpy 2.4")
    tests = [path for path in Path(__file__).parent.rglob("test_*.py") if "kernel_device" in path.read_text()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "interpreter", "-p", "no:cacheprovider", *map(str, tests)],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= len(tests)
    assert "skipped" not in done.stdout.splitlines()[-1]
