"""`everyframe run`: analyse cameras and footage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import export, names, size
from pipeline.errors import EveryframeError

if TYPE_CHECKING:
    from pipeline.cli.run_output import Output
    from pipeline.config import PipelineConfig

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
        help="cameras (rtsp, rtsps, http, https, webcam:0), video files, folders watched for new segments, and "
        "- for standard input, in place of those in the configuration file; "
        "${VARIABLE} in an address is taken from the environment",
    )
    _add_model(parser.add_argument_group("what is looked for"))
    _add_results(parser.add_argument_group("where results go"))
    _add_machine(parser.add_argument_group("how it runs"))


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--detector",
        metavar="MODEL",
        help="in place of everyframe-nano: an ONNX detector, torchvision:NAME, transformers:FOLDER or a hub's "
        "transformers:OWNER/NAME; none: decode alone",
    )
    group.add_argument(
        "--weights", metavar="FILE", help="weights of a torchvision detector (default: those torchvision publishes)"
    )
    group.add_argument(
        "--layout", metavar="NAME", help="the detector's output layout, where its graph does not tell: yolox, yolo, ..."
    )
    group.add_argument(
        "--picture-size",
        metavar="WxH",
        type=size,
        help="of the detector's picture, where it takes any: 416x416 for square cameras, 320x544 for upright ones",
    )
    group.add_argument(
        "--segmenter",
        metavar="MODEL",
        help="semantic network for masks beside such a detector: ONNX, torchvision:NAME or transformers:FOLDER",
    )
    group.add_argument("--segmenter-weights", metavar="FILE", help="weights of a torchvision segmenter")
    group.add_argument("--offline", action="store_true", help="fetch no weights; say which file to put where instead")
    group.add_argument("--score", metavar="0..1", type=float, help="drop what the network is less sure of")
    group.add_argument("--classes", metavar="NAME,NAME", type=names, help="classes to keep (default: all)")


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-o", "--output", metavar="DIR", help="write results.jsonl and timings.jsonl, in place of any that are there"
    )
    group.add_argument(
        "--annotate", metavar="FILE.mp4", help="draw results into a video; several sources get FILE-<source>.mp4"
    )
    group.add_argument(
        "--export",
        metavar="FORMAT=FILE",
        action="append",
        type=export,
        help="write JSON lines as savant, deepstream, roboflow or frigate would, any number of times",
    )
    group.add_argument(
        "--zones", metavar="FILE", help="tell of lines crossed and zones entered and left: a YAML file, as of 'summary'"
    )
    group.add_argument("--events", metavar="FILE", help="write these events as JSON lines, beside publishing them")
    group.add_argument("--publish", metavar="ADDRESS", help="ZeroMQ address, or none (default: tcp://127.0.0.1:5560)")
    group.add_argument(
        "--redis",
        metavar="URL",
        help="also keep results in Redis Streams: redis://HOST/0, 'rediss://USER:${VARIABLE}@HOST/0' (default: none)",
    )
    group.add_argument(
        "--mqtt", metavar="URL", help="also tell a broker of tracks: 'mqtt://USER:${VARIABLE}@HOST' (default: none)"
    )
    group.add_argument(
        "--webhook", metavar="URL", help="also post what happens to tracks: 'https://HOST/${VARIABLE}' (default: none)"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")
    group.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="json: an event a line on the error stream"
    )
    group.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="tell only what matters this much (default: info)",
    )
    group.add_argument(
        "--api", metavar="HOST:PORT", help="answer /healthz, /readyz, /metrics there, as 127.0.0.1:9560 (default: none)"
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--realtime", action="store_true", help="pace files like cameras: what comes too late is dropped"
    )
    group.add_argument("--files-root", metavar="DIR", help="refuse video files that lie elsewhere, links followed")
    group.add_argument("--transport", choices=("tcp", "udp", "multicast"), help="how RTSP carries media (default: tcp)")
    group.add_argument(
        "--engine",
        choices=("auto", "inline", "local"),
        help="local: in worker processes; inline: in this one, publishing nothing (default: local)",
    )
    group.add_argument(
        "--backend", choices=("auto", "openvino", "onnxruntime"), help="what runs the network (default: OpenVINO)"
    )
    group.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16", "fp16"),
        help="its arithmetic (default: bf16 where the processor has it)",
    )
    group.add_argument(
        "--device",
        metavar="NAME",
        help="what networks run on: auto, cpu, cuda (all), cuda:0,cuda:1 (default: a GPU if any)",
    )
    group.add_argument(
        "--decode",
        metavar="WHERE",
        choices=("auto", "cpu", "nvdec"),
        help="where frames are decoded: cpu, nvdec (the GPU that looks at them), auto (default: where the model runs)",
    )
    add_config_option(group)
    group.add_argument("--print-config", action="store_true", help="print the settings in force; run nothing")


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.run_output import OUTPUTS

    output = OUTPUTS[arguments.log_format](arguments)
    try:
        return _run(arguments, output)
    except EveryframeError as exc:
        return output.ended_by(exc)


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from pipeline.cli.complain import password_warnings
    from pipeline.cli.run_settings import check_api, check_outputs, settings
    from pipeline.config import check, dump, expand
    from pipeline.config.events import check_services
    from pipeline.redis_address import check_redis_address

    def read() -> PipelineConfig:
        return settings(arguments.sources, arguments.config, _given(arguments))

    config = check(read())
    if arguments.print_config:
        print(dump(config), end="")
        return 0
    addresses = [source.url for source in config.source_configs]
    services = (config.redis.url, config.mqtt.url, config.webhook.url)
    output.keep_secret([*addresses, *(url for url in services if url is not None)])
    check_outputs(config)
    check_api(config)
    for address in addresses:
        expand(address)  # so that a variable that is not set is told of before anything starts
    if config.redis.url is not None:
        check_redis_address(expand(config.redis.url), setting="redis.url")
    check_services(config.mqtt, config.webhook)
    said = (arguments.redis, arguments.mqtt, arguments.webhook)
    for warning in password_warnings([*arguments.sources, *filter(None, said)]):
        output.warning(warning, event="password_in_arguments")

    from pipeline.cli.run_engine import run_attended, run_engine

    if config.engine == "inline":
        return run_engine(config, output, debug=arguments.debug)
    reread = read if arguments.config is not None else None
    return run_attended(config, output, config_file=arguments.config, reread=reread, debug=arguments.debug)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said, under the configuration's names; None where nothing was."""
    return {
        "sources": {"realtime": arguments.realtime or None, "transport": arguments.transport},
        "files_root": arguments.files_root,
        "zones": arguments.zones,
        "engine": arguments.engine,
        "device": arguments.device,
        "decode": arguments.decode,
        "offline": arguments.offline or None,
        "detector": {
            "model": arguments.detector,
            "weights": arguments.weights,
            "layout": arguments.layout,
            "picture_size": arguments.picture_size,
            "score_threshold": arguments.score,
            "classes": arguments.classes,
            "backend": arguments.backend,
            "precision": arguments.precision,
        },
        "segmenter": {"model": arguments.segmenter, "weights": arguments.segmenter_weights},
        "publish": {"bind": arguments.publish},
        "redis": {"url": arguments.redis},
        "mqtt": {"url": arguments.mqtt},
        "webhook": {"url": arguments.webhook},
        "output": {
            "directory": arguments.output,
            "annotate": arguments.annotate,
            "export": dict(arguments.export or ()),
            "events": arguments.events,
        },
        "api": {"bind": arguments.api},
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
        "cat clip.ts | everyframe run cam=-",
        "everyframe run clip.mp4 --detector yolox_nano.onnx --classes person,car --score 0.4",
        "everyframe run gate=/srv/recordings/gate/ --files-root /srv/recordings",
        "everyframe run --config everyframe.yaml --print-config",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
