"""`everyframe run`: analyse cameras and footage."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import names

NOTES: Final = """\
exit codes:
  0         done; or cameras were analysed until Ctrl-C
  1         a source, a model or an output failed; other sources were not affected
  2         the request cannot be carried out as written
  130, 143  ended by Ctrl-C or SIGTERM before the footage was"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("sources").add_argument(
        "sources",
        metavar="[NAME=]SOURCE",
        nargs="*",
        help="cameras (rtsp, rtsps, http, https) and video files, in place of those in the configuration file; "
        "${VARIABLE} in an address is taken from the environment",
    )
    _add_model(parser.add_argument_group("what is looked for"))
    _add_results(parser.add_argument_group("where results go"))
    _add_machine(parser.add_argument_group("how it runs"))


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--detector", metavar="MODEL", help="ONNX detector to use instead of everyframe-nano")
    group.add_argument(
        "--layout", metavar="NAME", help="the detector's output layout, where its graph does not tell: yolox, yolo, ..."
    )
    group.add_argument("--segmenter", metavar="FILE", help="semantic ONNX network, for masks beside such a detector")
    group.add_argument("--score", metavar="0..1", type=float, help="drop what the network is less sure of")
    group.add_argument("--classes", metavar="NAME,NAME", type=names, help="classes to keep (default: all)")


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o", "--output", metavar="DIR", help="write results.jsonl and timings.jsonl, in place of any that are there"
    )
    group.add_argument(
        "--annotate", metavar="FILE.mp4", help="draw results into a video; several sources get FILE-<source>.mp4"
    )
    group.add_argument("--publish", metavar="ADDRESS", help="ZeroMQ address, or none (default: tcp://127.0.0.1:5560)")
    group.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--realtime", action="store_true", help="pace files like cameras: what comes too late is dropped"
    )
    group.add_argument("--transport", choices=("tcp", "udp"), help="how RTSP carries media (default: tcp)")
    group.add_argument(
        "--engine",
        choices=("auto", "inline", "local"),
        help="local: in worker processes; inline: in this one, publishing nothing (default: local)",
    )
    group.add_argument(
        "--backend", choices=("auto", "openvino", "onnxruntime"), help="what runs the network (default: OpenVINO)"
    )
    group.add_argument(
        "--precision", choices=("auto", "f32", "bf16"), help="its arithmetic (default: bf16 where the processor has it)"
    )
    add_config_option(group)
    group.add_argument("--print-config", action="store_true", help="print the settings in force; run nothing")


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.complain import warn_of_passwords
    from pipeline.cli.run_settings import check_outputs, settings
    from pipeline.config import check, dump, expand

    config = check(settings(arguments.sources, arguments.config, _given(arguments)))
    if arguments.print_config:
        print(dump(config), end="")
        return 0
    check_outputs(config)
    for source in config.source_configs:
        expand(source.url)  # so that a variable that is not set is told of before anything starts
    warn_of_passwords(arguments.sources)

    from pipeline.cli.run_engine import run_engine

    return run_engine(config, quiet=arguments.quiet, debug=arguments.debug)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said, under the configuration's names; None where nothing was."""
    return {
        "sources": {"realtime": arguments.realtime or None, "transport": arguments.transport},
        "engine": arguments.engine,
        "detector": {
            "model": arguments.detector,
            "layout": arguments.layout,
            "score_threshold": arguments.score,
            "classes": arguments.classes,
            "backend": arguments.backend,
            "precision": arguments.precision,
        },
        "segmenter": {"model": arguments.segmenter},
        "publish": {"bind": arguments.publish},
        "output": {"directory": arguments.output, "annotate": arguments.annotate},
    }


COMMAND: Final = Command(
    help="Analyse cameras and footage: boxes, masks and tracks, frame by frame.",
    usage="[options] [NAME=]SOURCE...",
    description="Analyse cameras and footage: boxes, masks and tracks, frame by frame. Files are analysed whole, "
    "dropping nothing. Cameras run until Ctrl-C: what is in work is finished, and files are closed; a second Ctrl-C "
    "ends at once.",
    examples=(
        "everyframe run samples/crossing/crossing.mp4 --output results --annotate out.mp4",
        "everyframe run 'door=rtsp://viewer:${CAM}@192.0.2.7/stream' yard=rtsp://192.0.2.8/stream",
        "everyframe run clip.mp4 --detector yolox_nano.onnx --classes person,car --score 0.4",
        "everyframe run --config everyframe.yaml --print-config",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
