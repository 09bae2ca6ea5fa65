"""The `everyframe` command: one file a subcommand. What a subcommand needs is imported when it runs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with this process's arguments and exit with its code."""
    from pipeline.cli.app import execute

    sys.exit(execute(sys.argv[1:]))
