"""`everyframe export`: a trained network as files that others run, each checked before it is written."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least, names, size
from pipeline.errors import UsageError

NOTES: Final = """\
formats:
  onnx      NAME.onnx, weights in half precision: what 'everyframe run --detector' takes
  openvino  NAME.xml and NAME.bin, likewise
  int8      NAME-int8.xml and NAME-int8.bin: 8 bits, calibrated on real frames
  torch     NAME.pt2, by torch.export: for programs with torch; everyframe never loads it
NAME.json, the card, tells the classes and what was checked, and must stay beside the files. All are
written or none is. What each is for, how near torch it must be: stages/models/exporting/README.md.

exit codes:
  0         written
  1         a file differs from torch or INT8 costs too much; something cannot be read or written
  2         the request cannot be carried out as written
  130, 143  ended by Ctrl-C or SIGTERM"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="CHECKPOINT",
        help="of 'everyframe train' (.safetensors), an exported .onnx with its card, or everyframe-nano",
    )
    parser.add_argument(
        "--average",
        metavar="CHECKPOINT",
        nargs="+",
        default=[],
        help="more checkpoints, of trainings that went on from one another; the mean of all their weights is exported",
    )
    _add_files(parser.add_argument_group("files"))
    frames = parser.add_argument_group("checked on")
    frames.add_argument(
        "--footage", metavar="VIDEO", nargs="+", default=[], help="recorded files, best of the cameras it is for"
    )
    frames.add_argument(
        "--data", metavar="RECIPE", help="the labelled pictures of a recipe; with neither: synthetic streets"
    )
    frames.add_argument(
        "--checked",
        metavar="N",
        type=at_least(1, int),
        default=32,
        help="frames to check on (default: 32)",
    )
    frames.add_argument(
        "--balance",
        action="store_true",
        help="shift each class's scores so that one threshold suits all, learnt on half of --data's held-out pictures",
    )
    int8 = parser.add_argument_group("INT8")
    int8.add_argument(
        "--calibrated",
        metavar="N",
        type=at_least(10, int),
        default=200,
        help="frames to calibrate with (default: 200)",
    )
    int8.add_argument(
        "--max-drop",
        metavar="0..1",
        type=at_least(0.0, float),
        default=0.01,
        help="what it may cost: of box AP50 and PQ on held-out pictures of --data, else of the detections that are "
        "the float network's (default: 0.01)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-o", "--output", metavar="DIR/NAME", required=True, help="where they go; DIR is made")
    group.add_argument(
        "--format",
        metavar="NAME,NAME",
        type=names,
        default=["onnx"],
        help="onnx, openvino, int8, torch (default: onnx)",
    )
    group.add_argument(
        "--size", metavar="WxH", type=size, help="of the network's picture, multiples of 32 (default: 640x352)"
    )
    group.add_argument(
        "--any-size",
        action="store_true",
        help="let the files take pictures of other sizes too, multiples of 32: 'everyframe run --picture-size'",
    )
    group.add_argument("--f32", action="store_true", help="keep weights in float32: twice the size")
    group.add_argument("--version", metavar="TEXT", default="1", help="on the card (default: 1)")


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline import workshop
    from pipeline.cli.bars import bars
    from pipeline.cli.complain import complain
    from pipeline.cli.interrupts import unwinding_on_sigterm

    if arguments.max_drop > 1:
        raise UsageError(f"--max-drop: {arguments.max_drop:g} is more than 1, which is everything")
    with unwinding_on_sigterm(), bars(quiet=arguments.quiet) as progress:
        done = workshop.export(
            arguments.model,
            output=arguments.output,
            average=arguments.average,
            formats=arguments.format,
            size=arguments.size,
            any_size=arguments.any_size,
            half=not arguments.f32,
            version=arguments.version,
            footage=arguments.footage,
            data=arguments.data,
            checked=arguments.checked,
            calibrated=arguments.calibrated,
            max_drop=arguments.max_drop,
            balance=arguments.balance,
            progress=progress,
        )
    for warning in done.warnings:
        complain(f"everyframe: warning: {warning}")
    if not arguments.quiet:
        print(done.table)
    return 0


COMMAND: Final = Command(
    help="Write a trained network as ONNX, OpenVINO, INT8 or torch.export.",
    usage="CHECKPOINT --output DIR/NAME [options]",
    description="Write a trained network in formats that others run. Each file is held against the torch network on "
    "real frames before it gets its name: the numbers must be near, and the detections the same.",
    examples=(
        "everyframe export runs/gate/nano.safetensors --output models/gate --footage gate.mp4",
        "everyframe export runs/gate/nano.safetensors -o models/gate --format onnx,int8 --data gate.yaml",
        "everyframe export everyframe-nano -o models/nano --format int8 --footage cam1.mp4 cam2.mp4",
        "everyframe export everyframe-nano -o models/small --size 416x256 --format onnx,openvino,torch",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
