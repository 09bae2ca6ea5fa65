"""The unit that ships: what systemd itself says of it, and that the command takes what it is given."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.cli.command import parser_for
from pipeline.cli.run import COMMAND
from pipeline.config import PipelineConfig

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "everyframe.service"
EXPOSURE = 2.5  # of 10, as `systemd-analyze security` counts


@pytest.fixture
def service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser["Service"]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there, as systemd wants to see."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/everyframe/venv/bin/everyframe", "/bin/true"))
    return unit


def test_systemd_has_nothing_to_say_against_it(unit: Path) -> None:
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_little_is_exposed(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(EXPOSURE * 10)}", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "unrecognized option" in said.stderr:
        pytest.skip("needs a systemd-analyze that reads units which are not loaded (250)")
    assert said.returncode == 0, said.stdout


def test_the_command_takes_what_the_unit_gives_it(service: configparser.SectionProxy) -> None:
    program, subcommand, *arguments = shlex.split(service["ExecStart"])
    assert (Path(program).name, subcommand) == ("everyframe", "run")
    given = parser_for("run", COMMAND).parse_args(arguments)
    assert given.log_format == "json"
    assert given.api.startswith("127.0.0.1:")


def test_its_patience_is_longer_than_ours(service: configparser.SectionProxy) -> None:
    settings = PipelineConfig().supervisor
    assert int(service["TimeoutStopSec"]) > settings.stop_seconds
    assert int(service["TimeoutStartSec"]) > settings.load_deadline_seconds
    assert int(service["WatchdogSec"]) > 10  # the supervisor's own judgement of a hang
    assert service["Type"] == "notify"
    assert "MemoryDenyWriteExecute" not in service
