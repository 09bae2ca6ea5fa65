"""Results from the publisher to its readers, over ZeroMQ and Redis: how many a second, how soon, at what cost.

``python -m tests.benchmarks delivery [--quick]`` measures, in one run:

- `fanout`: 1, 10 and 100 readers of `tracks` on ZeroMQ beside as many on Redis Streams;
- `kinds`: what a reader of boxes alone costs, against one of everything, and masks against COCO's JSON;
- `share`: how much of a frame's CPU time publishing takes in a run of a real clip with the embedded model.

Without a `redis-server` its side is left out, and without the real clips theirs; a line says so.
"""

from __future__ import annotations

from typing import Any


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick`: a look, not a measurement."""
    from tests.benchmarks.delivery import fanout, kinds, share  # not into processes that only read

    return fanout.run(quick=quick) + kinds.run(quick=quick) + share.run(quick=quick)
