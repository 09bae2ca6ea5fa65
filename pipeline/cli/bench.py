"""`everyframe bench`: what this machine can carry."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least

DEFAULT_SECONDS: Final = 10.0
DEFAULT_MOST: Final = 64
DEFAULT_P95_MS: Final = 250.0
DEFAULT_ANALYSED: Final = 1.0

NOTES: Final = """\
exit code: 0; 1 if not one camera passed; 2 for what cannot be carried out as written"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("what").add_argument(
        "what", metavar="cameras", choices=("cameras",), help="how many RTSP cameras of 1280x720 at 25 frames/s"
    )
    parser.add_argument(
        "--detector",
        metavar="MODEL",
        action="append",
        help="with which model, any number of times; 'none' decodes alone (default: none, then everyframe-nano)",
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=at_least(1, float),
        default=DEFAULT_SECONDS,
        help=f"how long each number of cameras is measured (default: {DEFAULT_SECONDS:g})",
    )
    parser.add_argument(
        "--most",
        metavar="N",
        type=at_least(1, int),
        default=DEFAULT_MOST,
        help=f"largest number of cameras to try (default: {DEFAULT_MOST})",
    )
    parser.add_argument(
        "--latency",
        metavar="MS",
        type=at_least(1, float),
        default=DEFAULT_P95_MS,
        help=f"latency that 95 of 100 frames must keep to (default: {DEFAULT_P95_MS:g})",
    )
    parser.add_argument(
        "--analysed",
        metavar="FPS",
        type=at_least(0, float),
        default=DEFAULT_ANALYSED,
        help=f"frames a second that each camera must have analysed at least (default: {DEFAULT_ANALYSED:g})",
    )
    parser.add_argument(
        "-f", "--format", choices=("table", "json"), default="table", help="json: one object (default: table)"
    )


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.bench_cameras import Wanted, capacity_of
    from pipeline.cli.bench_table import print_capacities, processor, progress
    from pipeline.config import EMBEDDED_MODEL, NO_MODEL

    wanted = Wanted(arguments.seconds, arguments.most, p95_ms=arguments.latency, analysed_fps=arguments.analysed)
    as_json = arguments.format == "json"
    capacities = []
    with progress(quiet=as_json) as (show, tell):
        for model in arguments.detector or (NO_MODEL, EMBEDDED_MODEL):
            capacities.append(capacity_of(model, wanted, show=show, tell=tell))
    if as_json:
        import os

        import msgspec

        machine = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
        report = {"machine": machine, "wanted": wanted, "capacities": capacities}
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print_capacities(capacities, wanted)
    return 0 if all(capacity.cameras for capacity in capacities) else 1


COMMAND: Final = Command(
    help="Measure what this machine can carry: how many cameras.",
    usage="cameras [options]",
    description="Measure how many RTSP cameras this machine reads and decodes, and how many it analyses at a rate that "
    "adapts (the newest frame wins), within a latency. The number is doubled until it is too many, then halved in "
    "between. The cameras are simulated on the same machine; what that costs is told apart.",
    examples=(
        "everyframe bench cameras",
        "everyframe bench cameras --detector none --most 200 --seconds 30",
        "everyframe bench cameras --format json > cameras.json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
