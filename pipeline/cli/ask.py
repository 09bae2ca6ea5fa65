"""`everyframe summary`: what stored results come to."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.cli.command import Command
from pipeline.cli.zones_example import EXAMPLE

NOTES: Final = (
    """\
DIR is what --output of 'everyframe process' or 'everyframe run' wrote: results.jsonl in it, or in
folders of it. Times are of day (UTC) where recordings tell when they began, else positions in them.

a zones file:
"""
    + textwrap.indent(EXAMPLE, "  ")
    + """
A track is where the middle of its foot is (anchor: centre, the middle of its box). It has crossed a
line when it is on the other side by a tenth of its size (margin: 0.1), and has left a zone likewise:
what trembles on a line counts once. stages/zones/README.md has every rule, and the JSON document.

exit codes:
  0         done
  1         results cannot be read, or the picture cannot be written
  2         the request cannot be carried out as written"""
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("results").add_argument("directory", metavar="DIR", help="a folder of results")
    what = parser.add_argument_group("what is asked")
    what.add_argument("--zones", metavar="FILE", help="lines and zones to count at, as YAML; see below")
    what.add_argument(
        "--every",
        metavar="TIME",
        help="how long the pieces of time are, as 30s, 1m, 1h30m (default: a round time, 60 pieces at most)",
    )
    what.add_argument(
        "--from",
        dest="begin",
        metavar="WHEN",
        help="leave out what was before: 2026-11-26T10:30 (UTC), or 1:30 or 90s from where each recording begins",
    )
    what.add_argument("--to", dest="end", metavar="WHEN", help="leave out what was then and later, likewise")
    how = parser.add_argument_group("how it is told")
    how.add_argument("--json", action="store_true", help="print one JSON document in place of tables")
    how.add_argument("--plot", metavar="FILE.png", help="draw counts over time, lines and zones into a picture")


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline import build
    from pipeline.cli.ask_plot import check_plot, write_plot
    from pipeline.config.zones import load_zones
    from pipeline.figures.ask import Question, answer
    from pipeline.figures.period import every_of, moment_of

    if arguments.plot is not None:
        check_plot(arguments.plot)
    with _progress(arguments.directory) as tell:
        document = answer(
            Question(
                directory=arguments.directory,
                zones=None if arguments.zones is None else load_zones(arguments.zones),
                zones_file=arguments.zones,
                every_ns=None if arguments.every is None else every_of(arguments.every),
                begin=None if arguments.begin is None else moment_of(arguments.begin, option="--from"),
                end=None if arguments.end is None else moment_of(arguments.end, option="--to"),
                watch=build.watch_zones,
                tell=tell,
            )
        )
    if arguments.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())
    else:
        from pipeline.cli.ask_tables import print_document

        print_document(document)
    if arguments.plot is not None:
        write_plot(arguments.plot, document, build.draw_chart)
    return 0


@contextmanager
def _progress(directory: str) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's error stream, gone when everything is read."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.figures.reading import find_stored, total_size

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda _: None
        return
    total = total_size(find_stored(directory))
    columns = (TextColumn("reading"), BarColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=max(total, 1))
        yield lambda size: progress.advance(task, size)


COMMAND: Final = Command(
    help="Ask stored results: counts over time, dwell, lines crossed, zones occupied.",
    usage="[options] DIR",
    description="Read stored results once, and tell what they come to: how many of which class over time, how long "
    "they were there, who crossed which line which way, and how occupied zones were.",
    examples=(
        "everyframe summary results",
        "everyframe summary results --zones zones.yaml --every 10m --plot results.png",
        "everyframe summary results --from 2026-11-26T10:00 --to 2026-11-26T12:00 --json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
