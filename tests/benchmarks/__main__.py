"""All comparisons: ``python -m tests.benchmarks [NAME ...] [--json FILE]``; without names, every one that runs here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.benchmarks.table import Row, show, write

SECTIONS = {
    "softnms": "Soft-NMS",
    "idmap": "Id-map coding",
    "tracking": "Tracking",
    "drawing": "Drawing",
    "startup": "Start of the command",
    "endtoend": "End to end",
}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the named sections, print each, write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SECTIONS, []], help=f"one of {', '.join(SECTIONS)}")
    parser.add_argument("--json", type=Path, default=RESULTS / "cpu.json", help="where to write the figures")
    arguments = parser.parse_args()
    sections: dict[str, list[Row]] = {}
    for name in arguments.names or SECTIONS:
        run: Callable[[], list[Row]] = import_module(f"tests.benchmarks.{name}").run
        sections[name] = run()
        show(SECTIONS[name], sections[name])
    write(arguments.json, sections)
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
