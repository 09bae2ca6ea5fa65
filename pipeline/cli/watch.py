"""`everyframe watch`: print what a running pipeline publishes."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import at_least

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:5560"
DEFAULT_TOPIC: Final = "*/tracks"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("address").add_argument(
        "address",
        metavar="ADDRESS",
        nargs="?",
        help=f"where 'everyframe run' publishes; {DEFAULT_ADDRESS}, or what the configuration file says",
    )
    parser.add_argument(
        "-t",
        "--topic",
        metavar="SOURCE/KIND",
        action="append",
        help="what to subscribe to, any number of times; kinds are boxes, masks, tracks, all, status; '*' stands for "
        f"every source (default: {DEFAULT_TOPIC})",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("table", "json"),
        default="table",
        help="json: one message a line, as in results.jsonl (default: table)",
    )
    parser.add_argument("-n", "--count", metavar="N", type=at_least(1, int), help="stop after N messages")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=at_least(0.1, float), help="stop when nothing came for so long"
    )
    add_config_option(parser)


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.watch_loop import watch_until_done
    from pipeline.config import load

    published = load(arguments.config).publish.bind if arguments.config is not None else None
    return watch_until_done(
        arguments.address or published or DEFAULT_ADDRESS,
        arguments.topic or [DEFAULT_TOPIC],
        output_format=arguments.format,
        count=arguments.count,
        timeout_seconds=arguments.timeout,
    )


COMMAND: Final = Command(
    help="Print what a running pipeline publishes.",
    usage="[options] [ADDRESS]",
    description="Print what a running pipeline publishes, until Ctrl-C; then tell how many messages were missed.",
    examples=(
        "everyframe watch",
        "everyframe watch tcp://127.0.0.1:5560 --topic door/tracks",
        "everyframe watch --topic door/all --format json --count 100 > door.jsonl",
        "everyframe watch --topic '*/status'",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes="exit code: 0; 1 if --count was asked for and did not come; 2 for what cannot be carried out as written",
)
