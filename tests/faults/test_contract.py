"""The table of faults itself: a test that tells nothing fails, and the table says what was seen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = """
import pytest
pytest_plugins = ["tests.faults.conftest"]

@pytest.mark.fault("one", promise="held")
def test_tells(seen): seen("[3 s]")

@pytest.mark.fault("two", promise="held")
def test_silent(seen): pass

def test_nameless(seen): seen("something")

@pytest.mark.fault("one", promise="broken")
def test_breaks(seen): raise ValueError("it broke")
"""


@pytest.mark.fault("a test of a fault that tells nothing", promise="it fails; the others stand in the table")
def test_the_table(tmp_path: Path, seen: Callable[[str], None]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", f"--rootdir={tmp_path}", str(tmp_path)]
    run = subprocess.run(
        [*command, f"--faults-json={tmp_path / 'table.json'}"], cwd=HERE.parents[1], capture_output=True, text=True
    )
    assert "3 failed, 1 passed" in run.stdout, run.stdout + run.stderr
    rows = json.loads((tmp_path / "table.json").read_text())
    told = [(row["fault"], row["seen"], row["outcome"]) for row in rows]
    assert told[0] == ("one", "[3 s]", "passed")
    assert told[1][0] == "one"
    assert "it broke" in told[1][1]
    assert told[2] == ("two", "Failed: a test of a fault says what it saw: seen(...)", "failed")
    assert "[3 s]" in run.stdout
    seen(f"{sum(row['outcome'] == 'failed' for row in rows)} rows failed, one passed, a nameless test failed")
