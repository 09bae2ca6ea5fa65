"""A second or two for each target: its corpus, then mutations of it, in a process with bounded memory and no network.

`python -m tests.fuzz all --seconds 600` is the long form, guided by coverage; see README.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.__main__ import Outcome, fuzz, main, read
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Outcome]]]:
    """A short run of each target that a test of this module asks for, as many at a time as there are cores."""
    items = [
        item for item in request.session.items if isinstance(item, pytest.Function) and "runs" in item.fixturenames
    ]
    names = [item.callspec.params["name"] for item in items]

    def run(name: str) -> Outcome:
        findings = tmp_path_factory.mktemp(name)
        outcome = fuzz(name, "plain", read([name, "--plain", "--seconds", "1", "--findings", str(findings)]))
        assert not list(findings.iterdir()), outcome.output
        return outcome

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(run, name) for name in names}


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str, runs: dict[str, Future[Outcome]]) -> None:
    outcome = runs[name].result()
    assert not outcome.failed, outcome.output
    assert outcome.executions > 0


def test_the_command_says_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "--plain", "--seconds", "1", "--findings", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("state ")
    assert said.endswith("clean\n")
    assert not list(tmp_path.iterdir())


def test_a_finding_is_kept_and_told(tmp_path: Path) -> None:
    """A target that fails at the first mutation that has lost its end."""
    script = (
        "import sys; from tests.fuzz import child; from tests.fuzz.targets import Target\n"
        "def one_input(data):\n"
        "    if len(data) < 3: raise KeyError('too short')\n"
        "child.load = lambda name: Target(name, 100, one_input, lambda: [b'abcdef'])\n"
        "child.main()\n"
    )
    options = ["card", "--plain", "--seconds", "30", "--seed", "1", "--memory-mb", "500"]
    folders = ["--findings", str(tmp_path), "--corpus", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", script, *options, *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 77, done.stderr
    assert "KeyError: 'too short'" in done.stderr
    (kept,) = tmp_path.iterdir()
    assert len(kept.read_bytes()) < 3


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("bytearray(3 << 30)", "MemoryError"),
        ("import socket; socket.socket().connect(('127.0.0.1', 9))", "socket.connect was called"),
        ("import socket; socket.getaddrinfo('localhost', 80)", "socket.getaddrinfo was called"),
    ],
)
def test_a_fuzzing_process_is_confined(statement: str, says: str) -> None:
    script = f"from tests.fuzz.bounds import confine; confine(memory_mb=1024); {statement}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr
