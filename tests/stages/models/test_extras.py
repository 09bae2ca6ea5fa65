"""A command whose package is missing says so in a line, before anything that would import it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.errors import ConfigError
from stages.models.extras import need

# As on a machine without them: neither found nor importable.
WITHOUT = """\
import importlib.util, sys
missing = {"onnx", "onnxscript", "faster_coco_eval", "trackeval"}
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in missing else real(name, package)
sys.modules.update(dict.fromkeys(missing))
from pipeline.cli.app import execute
sys.exit(execute(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "everyframe-nano", "--output", "out/nano"],
        ["adapt", "samples/crossing/crossing.mp4", "--teacher", "yolox.onnx", "--output", "out"],
        ["evaluate", "--worlds", "1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_names_the_package_and_what_brings_it(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert f"everyframe: {arguments[0]}: the package " in done.stderr
    assert "pip install 'everyframe[" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_there_is_not_asked_for() -> None:
    need("this", "json", "pathlib", extra="train")
    with pytest.raises(ConfigError, match=r"this: the package no-such-thing is missing; pip install 'everyframe\[x\]'"):
        need("this", "json", "no_such_thing", extra="x")
