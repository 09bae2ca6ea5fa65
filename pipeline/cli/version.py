"""`everyframe version`: what is installed."""

from __future__ import annotations

import argparse
import platform
from typing import Final

from pipeline.cli.command import PROGRAM, Command

# What decides over a result or a fault, and so belongs into a report of one.
LIBRARIES: Final = ("av", "numpy", "opencv-python-headless", "openvino", "pyzmq", "torch")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also the libraries that decide over results")


def _execute(arguments: argparse.Namespace) -> int:
    print(version_text())
    if arguments.all:
        print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
        for library in LIBRARIES:
            print(f"{library} {_version_of(library) or 'not installed'}")
    return 0


def version_text() -> str:
    """Name and version in one line."""
    return f"{PROGRAM} {_version_of(PROGRAM) or '(not installed, run from a checkout)'}"


def _version_of(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


COMMAND: Final = Command(
    help="Print the version.",
    usage="[options]",
    description="Print the version.",
    examples=("everyframe version", "everyframe version --all        for the report of a fault"),
    add_arguments=_add_arguments,
    execute=_execute,
)
