"""`everyframe evaluate`: how good models are, on pictures whose truth is known."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least, size, within
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
  130, 143  ended by Ctrl-C or SIGTERM"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        nargs="+",
        default=["everyframe-nano"],
        help="everyframe-nano (default), ONNX files of detectors as 'everyframe run' takes them, checkpoints of "
        "'everyframe train'",
    )
    _add_data(parser)
    _add_ways(parser)
    where = parser.add_argument_group("what is left")
    where.add_argument("-o", "--output", metavar="DIR", help="figures.json, pictures and report.html, made if need be")
    where.add_argument("--on-card", action="store_true", help="put the figures on the card beside the model, too")
    where.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _add_data(parser: argparse.ArgumentParser) -> None:
    on = parser.add_argument_group("measured on (any of these)")
    on.add_argument("--data", metavar="YAML", nargs="+", default=[], help="a recipe, or a file with its 'data' alone")
    on.add_argument(
        "--coco", nargs=2, action="append", default=[], metavar=("IMAGES", "JSON"), help="COCO instances: boxes, masks"
    )
    on.add_argument(
        "--coco-panoptic",
        nargs=3,
        action="append",
        default=[],
        metavar=("IMAGES", "JSON", "PNGS"),
        help="COCO panoptic: boxes and every pixel",
    )
    on.add_argument(
        "--worlds",
        metavar="N",
        type=at_least(1, int),
        default=0,
        help="synthetic streets never trained on, 2 frames each",
    )
    on.add_argument("--clips", metavar="N", type=at_least(1, int), default=0, help="clips of them, for tracks")
    on.add_argument("--clip-seconds", metavar="S", type=at_least(0.1, float), default=8.0, help="long (default: 8)")
    on.add_argument(
        "--first-seed", metavar="N", type=at_least(0, int), default=1_000_000, help="of both (default: 1000000)"
    )
    on.add_argument("--mot", metavar="DIR", nargs="+", default=[], help="MOTChallenge sequences with their frames")
    on.add_argument(
        "--part",
        choices=("held-out", "train", "all"),
        help="of photographs (default: what 'hold_out' keeps from training, where it keeps any; else all)",
    )
    on.add_argument(
        "--hold-out",
        metavar="SHARE",
        type=within(0, 0.999),
        help="in place of 'hold_out' in the recipe, and for COCO's sets",
    )
    on.add_argument(
        "--limit", metavar="N", type=at_least(1, int), help="most photographs of a set, spread evenly over it"
    )


def _add_ways(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how")
    how.add_argument(
        "--tta",
        metavar="WAY",
        nargs="+",
        help="look several times: scales=0.75,1.5 (below 1 smaller, above 1 in overlapping parts), flip",
    )
    how.add_argument(
        "--temperature",
        choices=("fit",),
        help="fit one to scores on half of the pictures, tell what it does to the other half, and use it for all",
    )
    how.add_argument(
        "--score",
        metavar="0..1",
        type=within(0, 1),
        default=0.4,
        help="boxes from here in the confusion matrix (default: 0.4)",
    )
    how.add_argument(
        "--score-floor",
        metavar="0..1",
        type=within(0, 1),
        default=0.001,
        help="boxes from here in AP (default: 0.001)",
    )
    how.add_argument(
        "--size",
        metavar="WxH",
        type=size,
        help="of the picture that checkpoints and files get which take any (default: as a file's card says, of a "
        "checkpoint 640x352)",
    )
    how.add_argument(
        "--threads",
        metavar="N",
        type=at_least(0, int),
        default=1,
        help="while time is taken; 0: all cores (default: 1)",
    )
    how.add_argument(
        "--timed", metavar="N", type=at_least(0, int), default=60, help="pictures timed for each model (default: 60)"
    )


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline import workshop
    from pipeline.cli.bars import bars
    from pipeline.cli.interrupts import unwinding_on_sigterm

    asked = _asked(arguments)
    with unwinding_on_sigterm(), bars(quiet=arguments.quiet) as progress:
        done = workshop.evaluate(progress=progress, **asked)
    if not arguments.quiet:
        print(done.table)
        if done.files:
            print(f"\nwritten: {', '.join(str(file) for file in done.files)}")
    return 0


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as the workshop takes them. Raises `UsageError`."""
    from pathlib import Path

    given = (arguments.data, arguments.coco, arguments.coco_panoptic, arguments.worlds, arguments.clips, arguments.mot)
    if not any(given):
        raise UsageError("nothing to measure on; give --worlds, --clips, --data, --coco, --coco-panoptic or --mot")
    return {
        "models": arguments.model,
        "data": [Path(file) for file in arguments.data],
        "coco": [tuple(one) for one in arguments.coco],
        "coco_panoptic": [tuple(one) for one in arguments.coco_panoptic],
        "hold_out": arguments.hold_out,
        "part": arguments.part,
        "limit": arguments.limit,
        "worlds": arguments.worlds,
        "clips": arguments.clips,
        "clip_seconds": arguments.clip_seconds,
        "first_seed": arguments.first_seed,
        "mot": [Path(folder) for folder in arguments.mot],
        "score_floor": arguments.score_floor,
        "settings": {"counted_score": arguments.score, "fit_temperature": arguments.temperature == "fit"},
        "tta": _views(arguments.tta),
        "picture_size": arguments.size,
        "threads": arguments.threads,
        "latency_pictures": arguments.timed,
        "output": Path(arguments.output) if arguments.output else None,
        "on_card": arguments.on_card,
    }


def _views(ways: list[str] | None) -> dict[str, Any] | None:
    """`scales=0.75,1.5` and `flip`. Raises `UsageError`."""
    if ways is None:
        return None
    scales: tuple[float, ...] = ()
    for way in ways:
        name, _, value = way.partition("=")
        if name == "scales":
            scales = tuple(_scale(text) for text in value.split(","))
        elif way != "flip":
            raise UsageError(f"--tta: {way!r} is unknown; scales=0.75,1.5 and flip can be given")
    return {"scales": scales, "mirror": "flip" in ways}


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.25 <= value <= 4:
        raise UsageError(f"--tta: scale {text!r}; numbers from 0.25 to 4 can be given")
    return value


COMMAND: Final = Command(
    help="Measure models on labelled pictures and synthetic streets.",
    usage="[--model MODEL ...] (--coco ... | --worlds N | ...) [-o DIR] [options]",
    description="Measures boxes, masks and speed of the embedded model or others, on pictures whose truth is known.",
    examples=(
        "everyframe evaluate --worlds 200 --clips 10",
        "everyframe evaluate --model everyframe-nano build/best.safetensors --data recipe.yaml -o figures",
        "everyframe evaluate --model everyframe-nano yolox.onnx --coco val2017 instances.json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
