"""What a subcommand is, and how its help looks.

`argparse` rather than a richer library: `everyframe --help` costs 30 ms of processor time this way and 230 ms with the
framework that draws boxes, and a shell's completion, a script and a person on a loaded machine all wait for it.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from pipeline.errors import UsageError

PROGRAM = "everyframe"
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: its texts, its arguments, and what it does with them, giving the exit code."""

    help: str  # one line, for the list of commands
    usage: str  # what follows the command's name
    description: str
    examples: tuple[str, ...]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], int]
    notes: str = ""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print the usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where to read on."""
        raise UsageError(f"{message}; '{self.prog} --help' shows what there is")


class Format(argparse.RawDescriptionHelpFormatter):
    """Texts as they were written, options in one column."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=WIDTH)


def parser_for(name: str, command: Command) -> Parser:
    """The parser of one subcommand."""
    examples = "\n".join(f"  {example}" for example in command.examples)
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        usage=f"%(prog)s {command.usage}",
        description=textwrap.fill(command.description, WIDTH - 2),
        epilog=f"examples:\n{examples}" + (f"\n\n{command.notes}" if command.notes else ""),
        formatter_class=Format,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_config_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """`--config FILE`, the same everywhere."""
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="settings as YAML; 'everyframe config' prints them all, explained"
    )
