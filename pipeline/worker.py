"""A worker process: ``python -m pipeline.worker``, started by the supervisor and by nobody else.

Its standard input is a socket to the supervisor, over which come the configuration and the shared memory: nothing that
matters stands in its arguments, and when the socket ends, so does the worker.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from importlib import import_module

from pipeline.address import without_secrets
from pipeline.board import Board, Phase
from pipeline.errors import EveryframeError
from pipeline.parent import end_with_parent
from pipeline.workers.bench import Bench, Liveness
from pipeline.workers.control import Control
from pipeline.workers.messages import Failed
from pipeline.workers.occupants import Occupants

ROLES = {
    "camera": "pipeline.workers.camera",
    "vision": "pipeline.workers.vision",
    "publisher": "pipeline.workers.publisher",
}
STARTING_SECONDS = 60.0
MOST_CHARACTERS = 10_000  # of a message or a traceback; the socket takes no message without end


def main() -> int:
    """Be a worker until told to stop; the exit status."""
    control = Control(_adopt_standard_input())
    _outlive_signals()
    spec, board_memory, given = control.handover()
    if spec.role != "publisher":
        end_with_parent()  # a publisher may still close its files when the socket ends
    board = Board(board_memory, workers=spec.visions + 1 + spec.places, sources=spec.places)
    liveness = Liveness(board.workers[spec.cells])
    liveness.stamp(Phase.STARTING, STARTING_SECONDS)
    bench = Bench(spec=spec, control=control, liveness=liveness, board=board, occupants=Occupants())
    for source in given:
        bench.admit(source)
    try:
        run: Callable[[Bench], None] = import_module(ROLES[spec.role]).run
        run(bench)
    except EveryframeError as exc:
        control.report(Failed(error=type(exc).__name__, message=str(exc)[:MOST_CHARACTERS]))
        return 1
    except Exception as exc:  # noqa: BLE001 - whatever it is, the supervisor must hear of it
        urls = [occupant.source.url for occupant in bench.occupants.values()]
        trace = without_secrets(traceback.format_exc(), urls)[-MOST_CHARACTERS:] if spec.debug else ""
        message = without_secrets(f"{type(exc).__name__}: {exc}", urls)[:MOST_CHARACTERS]
        control.report(Failed(error="", message=message, traceback=trace))
        return 1
    return 0


def _adopt_standard_input() -> socket.socket:
    """The socket that came as standard input, moved away so that no library reads from it."""
    channel = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return channel


def _outlive_signals() -> None:
    """A terminal's Ctrl-C and a service manager's SIGTERM reach every process: the supervisor answers for all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
