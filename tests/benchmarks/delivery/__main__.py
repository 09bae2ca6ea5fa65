"""``python -m tests.benchmarks.delivery [--quick]`` prints the table."""

from __future__ import annotations

import argparse

from tests.benchmarks.delivery import run
from tests.benchmarks.table import show

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the time, for a look")
    show("Delivery", run(quick=parser.parse_args().quick))
