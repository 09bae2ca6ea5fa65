"""`everyframe source`: add, remove, list, pause and resume the sources of a running pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pipeline.cli.command import Command
from pipeline.cli.values import at_least
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.config import SourceConfig
    from pipeline.control.protocol import Request

NOTES: Final = """\
'add' connects within seconds and does not wait for the first frame: 'list' tells how it goes. A
source that was added is kept, and comes back when the pipeline starts again, until 'remove' forgets
it; recordings are not kept. One that the configuration file names is gone until the next
'everyframe reload' or start. '${VARIABLE}' in an address is taken from the environment of the
pipeline that runs, not from this shell's, and kept as it is written; so is a password in an address,
in a file that its owner alone can read (mode 0600, below supervisor.state_directory). 'pause'
disconnects from a camera; a recording stays where it is.

exit codes: 0; 2 where it cannot be done as written; 1 where the pipeline does not answer"""


def add_pipeline_option(parser: argparse.ArgumentParser) -> None:
    """`--pipeline NAME`, the same everywhere."""
    parser.add_argument(
        "-p",
        "--pipeline",
        metavar="NAME",
        help="which, where several run: supervisor.name, else the configuration file's name, else the first source's",
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to do")
    group.add_argument("action", metavar="ACTION", choices=tuple(ACTIONS), help="add, remove, list, pause or resume")
    group.add_argument("source", metavar="SOURCE", nargs="?", help="add: [NAME=]SOURCE; the others: its name")
    added = parser.add_argument_group("of a source that is added")
    added.add_argument("--transport", choices=("tcp", "udp", "multicast"), help="how RTSP carries media (default: tcp)")
    added.add_argument("--priority", metavar="1..100", type=at_least(1, int), help="share of a busy network")
    added.add_argument(
        "--target-fps", metavar="FPS", type=float, help="frames a second to analyse; the others are predicted"
    )
    added.add_argument("--realtime", action="store_true", help="pace a file like a camera")
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table", help="of list (default: table)")
    add_pipeline_option(parser)


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.control.client import ask, choose
    from pipeline.control.protocol import Done, Sources

    if (arguments.action == "list") != (arguments.source is None):
        wanted = "no source" if arguments.action == "list" else "a source"
        raise UsageError(f"source {arguments.action} takes {wanted}; 'everyframe source --help' shows how")
    request = ACTIONS[arguments.action](arguments)
    name = choose(arguments.pipeline)
    reply = ask(name, request)
    if isinstance(reply, Sources):
        from pipeline.cli.source_table import listing

        print(listing(reply, arguments.format), end="")
    elif isinstance(reply, Done):
        print(f"{name}: {TOLD[arguments.action].format(reply.source_id)}")
    return 0


def _add(arguments: argparse.Namespace) -> Request:
    from pipeline.cli.complain import warn_of_passwords
    from pipeline.control.protocol import AddSource

    warn_of_passwords([arguments.source])
    return AddSource(source_given(arguments))


def source_given(arguments: argparse.Namespace) -> SourceConfig:
    """The source on the command line; a file by its whole path, because the pipeline may run in another folder."""
    from pathlib import Path

    from pipeline.address import is_folder, local_path, scheme_of, split_name
    from pipeline.config import SourceConfig, parse

    name, url = split_name(arguments.source)
    if not url.startswith("${") and scheme_of(url) == "file":
        url = f"{Path.cwd() / local_path(url)}{'/' if is_folder(url) else ''}"
    said = {
        "transport": arguments.transport,
        "priority": arguments.priority,
        "target_fps": arguments.target_fps,
        "realtime": arguments.realtime or None,
    }
    values = {"url": url, "source_id": name or "", **{k: v for k, v in said.items() if v is not None}}
    source = parse({"sources": [values]}, origin="command line").sources[0]
    assert isinstance(source, SourceConfig)
    return source


def _remove(arguments: argparse.Namespace) -> Request:
    from pipeline.control.protocol import RemoveSource

    return RemoveSource(arguments.source)


def _pause(arguments: argparse.Namespace) -> Request:
    from pipeline.control.protocol import PauseSource

    return PauseSource(arguments.source)


def _resume(arguments: argparse.Namespace) -> Request:
    from pipeline.control.protocol import ResumeSource

    return ResumeSource(arguments.source)


def _list(_: argparse.Namespace) -> Request:
    from pipeline.control.protocol import ListSources

    return ListSources()


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], Request]]] = {
    "add": _add,
    "remove": _remove,
    "list": _list,
    "pause": _pause,
    "resume": _resume,
}
TOLD: Final = {"add": "{} is added", "remove": "{} is removed", "pause": "{} is paused", "resume": "{} goes on"}

COMMAND: Final = Command(
    help="Add, remove, list, pause and resume the sources of a running pipeline.",
    usage="[options] ACTION [SOURCE]",
    description="Change the sources of a pipeline while it runs ('everyframe run' on this machine, by this user). The "
    "others do not notice.",
    examples=(
        "everyframe source list",
        "everyframe source add 'yard=rtsp://viewer:${CAM}@192.0.2.9/stream'",
        "everyframe source pause yard",
        "everyframe source resume yard",
        "everyframe source remove yard --pipeline everyframe",
        "everyframe source list --format json",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
