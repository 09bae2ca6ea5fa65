import subprocess
import sys

import pytest

from pipeline.cli.app import COMMANDS
from pipeline.cli.command import WIDTH
from tests.pipeline.cli.command_line import ROOT, everyframe

HEAVY = {"av", "cv2", "numpy", "msgspec", "openvino", "rich", "scipy", "torch", "yaml", "zmq"}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], *([name, "--help"] for name in COMMANDS)])
def test_help_has_examples_and_fits(arguments):
    done = everyframe(*arguments)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "examples:\n  everyframe " in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= WIDTH + 2


def test_help_names_every_command():
    listed = everyframe("--help").stdout
    for name, command in COMMANDS.items():
        assert f"  {name} " in listed
        assert command.help in listed


def test_help_of_run_tells_the_exit_codes():
    assert "exit codes:\n  0 " in everyframe("run", "--help").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    """What makes `--help` instant; how instant is in tests/benchmarks."""
    program = (
        "import sys\nfrom pipeline.cli.app import execute\n"
        f"try:\n    execute({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert HEAVY.isdisjoint(done.stderr.split())


def test_without_a_command_the_help_goes_to_the_error_stream():
    done = everyframe()
    assert (done.returncode, done.stdout) == (2, "")
    assert "commands:" in done.stderr


def test_version():
    assert everyframe("--version").stdout == everyframe("version").stdout
    lines = everyframe("version", "--all").stdout.splitlines()
    assert lines[0].startswith("everyframe ")
    assert lines[1].startswith("Python 3.")
    assert any(line.startswith("numpy ") for line in lines)
