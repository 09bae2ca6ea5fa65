"""`everyframe probe`: whether a source can be used, and what it is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import at_least

if TYPE_CHECKING:
    from pipeline.cli.probe_run import Progress
    from pipeline.config import SourceConfig
    from pipeline.stage import Access

DEFAULT_SECONDS: Final = 5.0

NOTES: Final = """\
exit codes:
  0  usable
  1  not usable
  2  the request cannot be carried out as written"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("source").add_argument(
        "source",
        metavar="[NAME=]SOURCE",
        help="what 'everyframe run' takes: a camera's address, a file, a folder (its first segment), -; with --config "
        "also the name of a source in it",
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=at_least(0.5, float),
        default=DEFAULT_SECONDS,
        help=f"how long to watch it after its first frame (default: {DEFAULT_SECONDS:g})",
    )
    parser.add_argument("--files-root", metavar="DIR", help="refuse a video file that lies elsewhere, links followed")
    parser.add_argument(
        "--transport", choices=("tcp", "udp", "multicast"), help="how RTSP carries media (default: tcp)"
    )
    parser.add_argument(
        "-f", "--format", choices=("text", "json"), default="text", help="json: one object (default: text)"
    )
    add_config_option(parser)


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.complain import warn_of_passwords
    from pipeline.cli.probe_report import report_of
    from pipeline.cli.probe_run import run_probe
    from pipeline.config import expand

    given = {"sources": {"transport": arguments.transport}, "files_root": arguments.files_root}
    source, access = source_named(arguments.source, arguments.config, given)
    expand(source.url)
    warn_of_passwords([arguments.source])
    with _shown(arguments.format) as show:
        outcome = run_probe(source, seconds=arguments.seconds, access=access, show=show)
    report = report_of(source, outcome)
    if arguments.format == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        from pipeline.cli.probe_screen import print_report

        print_report(report)
    return 0 if report.usable else 1


def source_named(text: str, config_file: str | None, given: Mapping[str, Any]) -> tuple[SourceConfig, Access]:
    """The source of that name in the configuration file, else the one of that address, and how it may be opened.

    Raises `UsageError`.
    """
    from pipeline.cli.run_settings import settings
    from pipeline.config import check_source, check_standard_input
    from pipeline.stage import Access

    config = settings((), config_file, given).resolved()
    source = next((found for found in config.source_configs if found.source_id == text), None)
    if source is None:
        source = settings((text,), config_file, given).source_configs[0]
    check_source(source, files_root=config.files_root)
    check_standard_input([source])
    return source, Access(files_root=config.files_root)


@contextmanager
def _shown(output_format: str) -> Iterator[Callable[[Progress], None]]:
    """Shows how far a probe has come where somebody looks on; it leaves no trace."""
    from rich.console import Console

    from pipeline.cli.probe_screen import progress_words

    console = Console(stderr=True, highlight=False)
    if output_format != "text" or not console.is_terminal or console.is_dumb_terminal:
        yield lambda progress: None
        return
    with console.status("starting") as status:
        yield lambda progress: status.update(progress_words(progress))


COMMAND: Final = Command(
    help="Look a source over: what it is, and whether it can be used.",
    usage="[options] [NAME=]SOURCE",
    description="Look a source over for some seconds: what it is, whether it decodes, its frame rate, keyframes and "
    "clock, and what a run with it should know. Whatever the source does, it ends in time.",
    examples=(
        "everyframe probe 'rtsp://viewer:${CAM}@192.0.2.7/stream'",
        "everyframe probe clip.mp4",
        "everyframe probe webcam:0",
        "everyframe probe door --config everyframe.yaml --seconds 30",
        "everyframe probe rtsp://192.0.2.8/stream --format json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
