"""The process that looks at a source: ``python -m pipeline.cli.probe_child FD``, started by `probe_run` alone.

A demuxer that hangs cannot be stopped, and a hostile stream can take its process down; so neither happens in ours. What
to look at comes over a socket, not in the arguments, which every user of the machine can read.
"""

from __future__ import annotations

import socket
import sys

import msgspec

from pipeline.build import build_prober
from pipeline.cli.probe_messages import MOST_BYTES, Done, Job, Opening, Told, Watching
from pipeline.config import STANDARD_INPUT_DESCRIPTOR
from pipeline.errors import EveryframeError
from pipeline.parent import end_with_parent
from pipeline.stage import Access

_MOST_CHARACTERS = 10_000


def main(descriptor: int) -> None:
    """Look at one source, telling what is found over the socket."""
    end_with_parent()
    with socket.socket(fileno=descriptor) as channel:
        job = msgspec.json.decode(channel.recv(MOST_BYTES), type=Job)

        def tell(told: Told) -> None:
            channel.send(msgspec.json.encode(told))

        probe = build_prober()
        tell(Opening())
        try:
            access = Access(files_root=job.files_root, standard_input=STANDARD_INPUT_DESCRIPTOR)
            probe(job.source, seconds=job.seconds, tell=lambda findings: tell(Watching(findings)), access=access)
        except EveryframeError as exc:
            tell(Done(error=type(exc).__name__, message=str(exc)[:_MOST_CHARACTERS]))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the one who asked must hear of it
            tell(Done(error="", message=f"{type(exc).__name__}: {exc}"[:_MOST_CHARACTERS]))
        else:
            tell(Done())


if __name__ == "__main__":
    main(int(sys.argv[1]))
