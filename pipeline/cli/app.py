"""All subcommands together, and what every one of them does about errors."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from pipeline.cli import (
    adapt,
    ask,
    bench,
    config,
    evaluate,
    export,
    keys,
    probe,
    process,
    reload,
    run,
    source,
    train,
    version,
    watch,
)
from pipeline.cli.command import PROGRAM, Command, parser_for
from pipeline.cli.complain import complain, in_one_line
from pipeline.errors import EveryframeError, UsageError

COMMANDS: Final[dict[str, Command]] = {
    "run": run.COMMAND,
    "process": process.COMMAND,
    "summary": ask.COMMAND,
    "watch": watch.COMMAND,
    "probe": probe.COMMAND,
    "source": source.COMMAND,
    "reload": reload.COMMAND,
    "keys": keys.COMMAND,
    "bench": bench.COMMAND,
    "train": train.COMMAND,
    "evaluate": evaluate.COMMAND,
    "adapt": adapt.COMMAND,
    "export": export.COMMAND,
    "config": config.COMMAND,
    "version": version.COMMAND,
}
PIPE_CLOSED: Final = 128 + signal.SIGPIPE

HELP: Final = """\
usage: everyframe COMMAND ...

Cameras and footage in; boxes, masks and tracks out, frame by frame.

commands:
{commands}

options:
  -h, --help     show this and exit; 'everyframe COMMAND --help' explains a command
  --version      show the version and exit

examples:
  everyframe run samples/crossing/crossing.mp4 --annotate out.mp4
  everyframe run 'door=rtsp://viewer:${{CAM}}@192.0.2.7/stream'
  everyframe process /srv/recordings --output results
  everyframe summary results --zones zones.yaml
  everyframe watch tcp://127.0.0.1:5560 --topic door/tracks
"""


def execute(arguments: Sequence[str]) -> int:
    """Run the command; its exit code: 0 done, 1 failed, 2 asked for what cannot be done, 128 + n ended by signal n.

    What goes wrong is told in one line on the error stream; ``--debug`` adds the traceback. Secrets in the arguments
    are shown in neither.
    """
    try:
        return _dispatch(arguments)
    except EveryframeError as exc:
        return _failed(exc, str(exc), exc.exit_code, arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has left. Python would fail once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as exc:  # noqa: BLE001 - the last stand: a fault of ours still ends in one line, not in a traceback
        told = f"internal error: {type(exc).__name__}: {exc}; --debug shows where"
        return _failed(exc, told, 1, arguments)


def _dispatch(arguments: Sequence[str]) -> int:
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if first in COMMANDS:
        command = COMMANDS[first]
        return command.execute(parser_for(first, command).parse_intermixed_args(rest))
    if first in ("-h", "--help", "help"):
        print(help_text(), end="")
        return 0
    if first == "--version":
        print(version.version_text())
        return 0
    if not first:
        print(help_text(), end="", file=sys.stderr)
        return UsageError.exit_code
    raise UsageError(f"{first!r} is not a command; {', '.join(COMMANDS)} are ('{PROGRAM} --help' explains them)")


def help_text() -> str:
    """The commands, a line each."""
    return HELP.format(commands="\n".join(f"  {name:<13}  {command.help}" for name, command in COMMANDS.items()))


def _failed(exc: BaseException, message: str, exit_code: int, arguments: Sequence[str]) -> int:
    if "--debug" in arguments:
        complain("".join(traceback.format_exception(exc)), arguments)
    complain(f"{PROGRAM}: {in_one_line(message)}", arguments)
    return exit_code
