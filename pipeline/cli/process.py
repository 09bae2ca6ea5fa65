"""`everyframe process`: recorded footage, file by file, into results that stay."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import at_least, names, seconds, size
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.footage.cutting import Selection

NOTES: Final = """\
DIR/NAME/ has results.jsonl, timings.jsonl and done.json of a recording, and is there whole or
not at all. DIR/report.json says what became of each. The same command again goes on where it was
ended, and makes anew what its file or the settings have changed for.

exit codes:
  0         every recording has its results
  1         some were refused, or the results could not be written
  2         the request cannot be carried out as written
  130, 143  ended by Ctrl-C or SIGTERM"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    footage = parser.add_argument_group("footage")
    footage.add_argument(
        "footage",
        metavar="FOOTAGE",
        nargs="+",
        help="video files, folders (every video below), patterns ('cam*/**/*.mp4'), @LIST (a file, a path a line)",
    )
    footage.add_argument(
        "--one-source",
        metavar="NAME",
        help="these are segments of one camera: one folder of results, whose identities go on from file to file",
    )
    when = parser.add_argument_group("when it was")
    when.add_argument(
        "--start",
        metavar="WHEN",
        default="name",
        help="when a recording began: name (20261126_103015.mp4, 2026-11-26/10/gate/30.15.mp4; where it says nothing, "
        "as its container does), container, or a time for a single one (default: name)",
    )
    when.add_argument(
        "--zone", metavar="ZONE", default="UTC", help="time zone of such times, as Europe/Zurich (default: UTC)"
    )
    group = parser.add_argument_group("what is looked for")
    group.add_argument("--detector", metavar="MODEL", help="in place of everyframe-nano; see 'everyframe run --help'")
    group.add_argument(
        "--picture-size", metavar="WxH", type=size, help="of the detector's picture; see 'everyframe run --help'"
    )
    group.add_argument("--segmenter", metavar="MODEL", help="semantic network for masks beside such a detector")
    group.add_argument("--score", metavar="0..1", type=float, help="drop what the network is less sure of")
    group.add_argument("--classes", metavar="NAME,NAME", type=names, help="classes to keep (default: all)")
    _add_choice(parser)
    where = parser.add_argument_group("where results go")
    where.add_argument("-o", "--output", metavar="DIR", required=True, help="a folder, made if need be")
    where.add_argument(
        "--export",
        metavar="NAME,NAME",
        type=names,
        default=[],
        help="files beside them, also of results that are there already: parquet, coco, coco-panoptic, mot, video "
        "(annotated.mp4, with the sound), report (report.html)",
    )
    where.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    where.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")
    machine = parser.add_argument_group("how it runs")
    machine.add_argument(
        "--workers",
        metavar="N",
        type=at_least(1, int),
        help="processes that look at pieces of the footage side by side, a core each (default: as many as there are "
        "cores; 2 with a GPU)",
    )
    machine.add_argument("--device", metavar="NAME", help="what networks run on: auto, cpu, cuda, cuda:N")
    add_config_option(machine)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    pick = parser.add_argument_group("which frames")
    one = pick.add_mutually_exclusive_group()
    one.add_argument(
        "--every",
        metavar="N",
        type=at_least(1, int),
        help="analyse one frame in N; boxes of the others are the tracker's (default: every frame)",
    )
    one.add_argument("--fps", metavar="N", type=at_least(0.01, float), help="analyse so many frames a second, likewise")
    one.add_argument("--keyframes", action="store_true", help="decode keyframes alone: a quick look over much footage")
    pick.add_argument(
        "--from", metavar="TIME", dest="begin", type=seconds, help="of each recording, from 90, 1:30 or 0:01:30 on"
    )
    pick.add_argument("--to", metavar="TIME", dest="end", type=seconds, help="up to, and without, that time")


def _execute(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline import build
    from pipeline.cli.interrupts import Interrupts
    from pipeline.cli.process_screen import print_plan, screen_for, tell_outcomes
    from pipeline.footage.cutting import Selection
    from pipeline.footage.listing import REPORT, find_recordings, footage_of
    from pipeline.footage.shelf import Shelf
    from pipeline.footage.start import with_starts, zone_of
    from pipeline.footage.work import Work, check_plan

    recordings = with_starts(find_recordings(arguments.footage), start=arguments.start, zone=zone_of(arguments.zone))
    if arguments.one_source in ("", REPORT):
        raise UsageError(
            f"--one-source: {arguments.one_source!r} cannot name a source; its folder lies beside {REPORT}"
        )
    footage = footage_of(recordings, one_source=arguments.one_source)
    config = _config_of(arguments)
    _check_alone(config)
    check_plan(config, recordings, arguments.output)
    selection = Selection(
        every=arguments.every or 1,
        fps=arguments.fps or config.source_configs[0].target_fps,
        keyframes=arguments.keyframes,
        begin=arguments.begin,
        end=arguments.end,
    )
    _check_times(selection)
    workers = arguments.workers or (2 if config.expects_gpu else len(os.sched_getaffinity(0)))
    work = Work(
        config,
        footage,
        Shelf(Path(arguments.output)),
        parts=build,
        selection=selection,
        workers=workers,
        exports=arguments.export,
    )
    if arguments.dry_run:
        print_plan(work.plan())
        return 0
    with Interrupts(work.stop) as interrupts, screen_for(footage, quiet=arguments.quiet) as screen:
        outcomes = work.run(screen)
    tell_outcomes(outcomes, Path(arguments.output), quiet=arguments.quiet)
    if interrupts.asked():
        return interrupts.exit_code
    return 1 if any(outcome.reason or outcome.refused for outcome in outcomes) else 0


def _config_of(arguments: argparse.Namespace) -> PipelineConfig:
    """Raises `ConfigError`."""
    from pipeline.cli.run_settings import settings
    from pipeline.config import check

    given = {
        "device": arguments.device,
        "engine": "inline",
        "detector": {
            "model": arguments.detector,
            "picture_size": arguments.picture_size,
            "score_threshold": arguments.score,
            "classes": arguments.classes,
        },
        "segmenter": {"model": arguments.segmenter},
        "publish": {"bind": "none"},
    }
    name = arguments.one_source or "footage"
    return check(settings([f"{name}=footage.mp4"], arguments.config, given))  # a name in place of each


def _check_times(selection: Selection) -> None:
    """Refuse a time that ends before it begins. Raises `UsageError`."""
    if selection.end is not None and selection.end <= (selection.begin or 0.0):
        raise UsageError(f"--to is {selection.end:g} s, and --from {selection.begin or 0.0:g} s; it must be later")


def _check_alone(config: PipelineConfig) -> None:
    """Refuse outputs of a configuration that are not a recording's own. Raises `UsageError`."""
    asked = {
        "redis.url": config.redis.url,
        "mqtt.url": config.mqtt.url,
        "webhook.url": config.webhook.url,
        "zones": config.zones,
        "output.annotate": config.output.annotate,
        "output.export": config.output.export.files or None,
    }
    for setting, value in asked.items():
        if value is not None:
            raise UsageError(f"{setting} is set; 'everyframe process' writes files alone, and it must be left out")


COMMAND: Final = Command(
    help="Analyse recorded footage, file by file, resumably.",
    usage="[options] FOOTAGE... --output DIR",
    description="Analyse recorded footage: every frame of every file, dropping nothing, results in a folder of each. "
    "A run that is ended, however it is, goes on where it was when the command is given again.",
    examples=(
        "everyframe process /srv/recordings/gate --output results",
        "everyframe process 'cam*/**/*.mkv' --output results --fps 5 --dry-run",
        "everyframe process @tonight.txt --output results --classes person,car",
        "everyframe process clip.mp4 --output results --export parquet,video,report",
        "everyframe process /srv/recordings/gate --output results --one-source gate --from 0:30 --to 2:00",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
