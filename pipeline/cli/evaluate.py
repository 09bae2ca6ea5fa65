"""`everyframe evaluate`: how good models are, on pictures whose truth is known."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least
from pipeline.errors import UsageError

NOTES: Final = """\
Everything runs through the stages that a run uses. Several models are measured on the same
pictures; means are over the classes that all of them know. DIR/figures.json has every figure,
DIR/report.html shows them with the pictures. What each figure means is in
stages/models/evaluation/README.md.

exit codes:
  0    measured
  1    a model, a picture or a label cannot be read, or DIR cannot be written
  2    the request cannot be carried out as written, or a package is missing
  130  ended by Ctrl-C"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        nargs="+",
        default=["everyframe-nano"],
        help="everyframe-nano (default), or ONNX files of detectors as 'everyframe run' takes them",
    )
    on = parser.add_argument_group("measured on")
    on.add_argument("--coco", nargs=2, metavar=("IMAGES", "JSON"), help="COCO instances: boxes")
    on.add_argument(
        "--coco-panoptic", nargs=3, metavar=("IMAGES", "JSON", "PNGS"), help="COCO panoptic: boxes and masks"
    )
    on.add_argument(
        "--worlds",
        metavar="N",
        type=at_least(1, int),
        default=0,
        help="synthetic streets never trained on, 2 frames each",
    )
    on.add_argument(
        "--first-seed", metavar="N", type=at_least(0, int), default=1_000_000, help="of them (default: 1000000)"
    )
    on.add_argument(
        "--hold-out",
        metavar="SHARE",
        type=float,
        default=0.0,
        help="measure on the share of photographs that training with the same 'hold_out' never sees (default: all)",
    )
    on.add_argument("--limit", metavar="N", type=at_least(1, int), help="most photographs, spread evenly over all")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--score",
        metavar="0..1",
        type=float,
        default=0.4,
        help="boxes from here in the confusion matrix (default: 0.4)",
    )
    how.add_argument(
        "--score-floor", metavar="0..1", type=float, default=0.001, help="boxes from here in AP (default: 0.001)"
    )
    how.add_argument(
        "--threads",
        metavar="N",
        type=at_least(0, int),
        default=1,
        help="while time is taken; 0: all cores (default: 1)",
    )
    how.add_argument(
        "--timed",
        metavar="N",
        type=at_least(0, int),
        default=60,
        help="pictures timed for each model; 0: none (default: 60)",
    )
    where = parser.add_argument_group("what is left")
    where.add_argument("-o", "--output", metavar="DIR", help="figures.json, pictures and report.html, made if need be")
    where.add_argument("--on-card", action="store_true", help="put the figures on the card beside the model, too")
    where.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline import workshop
    from pipeline.cli.bars import bars

    with bars(quiet=arguments.quiet) as progress:
        done = workshop.evaluate(progress=progress, **_asked(arguments))
    if not arguments.quiet:
        print(done.table)
        if done.files:
            print(f"\nwritten: {', '.join(str(file) for file in done.files)}")
    return 0


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as the workshop takes them. Raises `UsageError`."""
    from pathlib import Path

    if not (arguments.coco or arguments.coco_panoptic or arguments.worlds):
        raise UsageError("nothing to measure on; give --coco, --coco-panoptic or --worlds")
    for name, least, most in (("score", 0, 1), ("score_floor", 0, 1), ("hold_out", 0, 0.999)):
        if not least <= getattr(arguments, name) <= most:
            raise UsageError(f"--{name.replace('_', '-')}: {getattr(arguments, name)} is not within {least} and {most}")
    return {
        "models": arguments.model,
        "coco": tuple(arguments.coco) if arguments.coco else None,
        "coco_panoptic": tuple(arguments.coco_panoptic) if arguments.coco_panoptic else None,
        "hold_out": arguments.hold_out,
        "part": "held-out" if arguments.hold_out else "all",
        "limit": arguments.limit,
        "worlds": arguments.worlds,
        "first_seed": arguments.first_seed,
        "score_floor": arguments.score_floor,
        "counted_score": arguments.score,
        "threads": arguments.threads,
        "latency_pictures": arguments.timed,
        "output": Path(arguments.output) if arguments.output else None,
        "on_card": arguments.on_card,
    }


COMMAND: Final = Command(
    help="measure models on labelled pictures and synthetic streets",
    usage="[--model MODEL ...] (--coco ... | --worlds N | ...) [-o DIR] [options]",
    description="Measures boxes, masks and speed of the embedded model or others, on pictures whose truth is known.",
    examples=(
        "everyframe evaluate --worlds 200",
        "everyframe evaluate --model everyframe-nano yolox.onnx --coco val2017 instances.json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
