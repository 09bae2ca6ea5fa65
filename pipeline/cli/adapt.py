"""`everyframe adapt`: a fast network for one's own scene, from footage that nobody labelled."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least, names

if TYPE_CHECKING:
    from pipeline.workshop import Adapted

NOTES: Final = """\
The last part of each file's time is held out. On it the network is measured as it was and as it is,
against what the teacher says: not against people's labels. DIR/comparison.png shows frames of it,
DIR/report.json has the figures. The same command again goes on where it was ended.

exit codes:
  0         the network finds more of what the teacher finds; DIR/adapted.onnx is it
  1         it does not: what was tried is in DIR/tried; or something failed
  2         the request cannot be carried out as written
  130, 143  ended by Ctrl-C or SIGTERM"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "footage",
        metavar="FOOTAGE",
        nargs="+",
        help="video files, folders (every video below), patterns ('cam*/**/*.mp4'), @LIST (a file, a path a line)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="labels, checkpoints, the network and the report"
    )
    _add_labels(parser)
    training = parser.add_argument_group("the training")
    training.add_argument(
        "--minutes", metavar="N", type=at_least(0.05, float), default=10.0, help="how long it takes (default: 10)"
    )
    training.add_argument(
        "--steps", metavar="N", type=at_least(1, int), help="steps of 8 pictures, in place of minutes"
    )
    training.add_argument(
        "--start", metavar="FILE", help="an exported .onnx or a checkpoint to begin from (default: everyframe-nano)"
    )
    training.add_argument(
        "--rehearse",
        metavar="SHARE",
        type=_share,
        default=0.25,
        help="of the pictures learnt from that are of the synthetic street, so that what the footage lacks is not "
        "forgotten (default: 0.25)",
    )
    training.add_argument("--seed", metavar="N", type=at_least(0, int), default=0, help="of the training (default: 0)")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _add_labels(parser: argparse.ArgumentParser) -> None:
    labels = parser.add_argument_group("the labels")
    labels.add_argument(
        "--teacher",
        metavar="MODEL",
        action="append",
        required=True,
        help="a detector that is believed, as 'everyframe run --detector' takes it; several are joined",
    )
    labels.add_argument(
        "--segmenter",
        metavar="MODEL",
        help="a semantic network that is believed about pixels; everyframe-nano: they stay as it sees them (default: "
        "only boxes are learnt)",
    )
    labels.add_argument(
        "--merge",
        choices=("fusion", "agreement"),
        default="fusion",
        help="of several teachers: their mean score counts, or all must be sure (default: fusion)",
    )
    labels.add_argument("--classes", metavar="NAME,NAME", type=names, help="that are learnt (default: all it can)")
    labels.add_argument(
        "--threshold",
        metavar="NAME=SCORE",
        type=_threshold,
        action="append",
        default=[],
        help="score from which a teacher's box of a class is believed (default: from where nine in ten are found in "
        "the mirror image too)",
    )
    labels.add_argument(
        "--fps",
        metavar="N",
        type=at_least(0.01, float),
        default=5.0,
        help="frames a second that the teacher looks at, at most (default: 5)",
    )
    labels.add_argument(
        "--frames",
        metavar="N",
        type=at_least(8, int),
        default=600,
        help="frames learnt from, at most; those that differ are taken (default: 600)",
    )
    labels.add_argument(
        "--hold-out",
        metavar="SHARE",
        type=_share,
        default=0.2,
        help="of each file's time, at its end, that is measured on (default: 0.2)",
    )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 0.9:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 0.9")
    return value


def _threshold(text: str) -> tuple[str, float]:
    name, equals, score = text.rpartition("=")
    try:
        value = float(score)
    except ValueError:
        value = -1.0
    if not (name and equals) or not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=SCORE with a score between 0 and 1; person=0.5 would be"
        )
    return name, value


def _execute(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline import workshop
    from pipeline.cli.bars import bars
    from pipeline.cli.complain import complain
    from pipeline.cli.interrupts import Interrupts
    from pipeline.footage.listing import find_recordings

    recordings = find_recordings(arguments.footage)
    interrupts = Interrupts()
    try:
        with interrupts, bars(quiet=arguments.quiet) as progress:
            done = workshop.adapt(
                footage=[recording.path for recording in recordings],
                output=Path(arguments.output),
                teachers=arguments.teacher,
                segmenter=arguments.segmenter,
                merge=arguments.merge,
                classes=arguments.classes,
                thresholds=dict(arguments.threshold),
                fps=arguments.fps,
                frames=arguments.frames,
                hold_out=arguments.hold_out,
                start=Path(arguments.start) if arguments.start else None,
                minutes=arguments.minutes,
                steps=arguments.steps,
                rehearse=arguments.rehearse,
                seed=arguments.seed,
                progress=progress,
                interrupted=interrupts.asked,
            )
    except KeyboardInterrupt:
        complain(f"everyframe: ended; what was done is in {arguments.output}, and the same command goes on from it")
        return interrupts.exit_code
    if not arguments.quiet:
        _tell(done, Path(arguments.output))
    if done.model is None:
        complain(f"everyframe: it got no better; the network as it was stays the better one, the try is {done.tried}")
        return 1
    return 0


def _tell(done: Adapted, output: object) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "class", "labels", "AP50 before", "after", "found", "after", "false", "after", box=None, pad_edge=False
    )
    for name in dict.fromkeys([*done.before.objects, *done.before.false, *done.after.false]):
        table.add_row(name, str(done.before.objects.get(name, 0)), *_row(name, done))
    if len(done.before.objects) > 1:
        table.add_row("mean", "", f"{done.before.mean_ap50:.3f}", f"{done.after.mean_ap50:.3f}")
    console = Console(highlight=False)
    console.print(f"{done.before.frames} held-out frames; the truth is {done.truth}", soft_wrap=True)
    console.print(table)
    speeds = ", ".join(f"{name} {ms:g} ms" for name, ms in done.milliseconds.items())
    console.print("found, false: boxes of a score of 0.4 or more, where a label is and where none is", soft_wrap=True)
    console.print(f"a frame takes: {speeds} (medians, in turns)", soft_wrap=True)
    console.print(f"{output}/comparison.png shows frames, {output}/report.json has the figures", soft_wrap=True)
    if done.model is not None:
        console.print(f"run it: everyframe run SOURCE --detector {done.model}", soft_wrap=True)


def _row(name: str, done: Adapted) -> Iterator[str]:
    """AP50, objects found and false boxes of a class, before and after."""
    sides = (done.before, done.after)
    yield from (f"{side.ap50[name]:.3f}" if name in side.ap50 else "-" for side in sides)
    for counted in ([side.found for side in sides], [side.false for side in sides]):
        yield from (str(of.get(name, 0)) for of in counted)


COMMAND: Final = Command(
    help="Make a fast network for your own scene, from footage without labels.",
    usage="[options] FOOTAGE... --teacher MODEL --output DIR",
    description="A larger detector labels footage of your cameras: it looks at every frame and at its mirror image, "
    "tracks what it found, and what it is not sure of counts neither way. A short training then fits everyframe-nano "
    "to it, and both are measured on time that was held out.",
    examples=(
        "everyframe adapt gate.mp4 --teacher yolox_nano.onnx --output gate",
        "everyframe adapt /srv/gate --teacher yolox.onnx --teacher picodet.onnx -o gate --minutes 30",
        "everyframe adapt 'cam*/*.mkv' --teacher torchvision:retinanet_resnet50_fpn -o ours --classes car",
        "everyframe run rtsp://192.0.2.7/stream --detector gate/adapted.onnx",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
