"""Reads sources one after another, as it is told on standard input, and says on standard output what came of each.

A line is a JSON object: `{"url": ..., "settings": {...}, "max_frames": n}`. The answer is a `Verdict` without what
only the parent can see. This process may be killed by what it reads; the parent starts another.
"""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import closing
from itertools import count
from typing import Any

from pipeline.config import SourceConfig
from pipeline.errors import EveryframeError
from stages.decode import open_source
from tests.fuzz.bounds import forget_peak, peak_rss_bytes


def main() -> None:
    """Answer every line until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whoever prints does not spoil an answer
    for line in sys.stdin:
        forget_peak()
        held = peak_rss_bytes()
        answer = verdict(json.loads(line))
        answer["held_mb"] = held >> 20
        answer["peak_mb"] = peak_rss_bytes() >> 20
        print(json.dumps(answer), file=answers, flush=True)


def verdict(job: dict[str, Any]) -> dict[str, Any]:
    """Read one source to its end, or so many frames of it."""
    frames = 0
    try:
        source = SourceConfig(url=job["url"], source_id="mutant", **job["settings"])
        with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
            last = (0, -1)
            for frame in reader:
                check(frame.epoch, frame.seq, last)
                last = (frame.epoch, frame.seq)
                frames += 1
                if frames == job["max_frames"]:
                    break
            assert reader.undecoded >= 0, reader.undecoded
    except EveryframeError as exc:
        return {"outcome": type(exc).__name__, "frames": frames, "why": str(exc)}
    except BaseException as exc:  # noqa: BLE001 - whatever comes out is told
        return {"outcome": "foreign", "frames": frames, "why": f"{exc!r}\n{traceback.format_exc()}"}
    return {"outcome": "read", "frames": frames, "why": ""}


def check(epoch: int, seq: int, last: tuple[int, int]) -> None:
    """Frames count up within an epoch, without holes, and from 0 in the next."""
    assert (epoch, seq) in ((last[0], last[1] + 1), (last[0] + 1, 0)), (last, epoch, seq)


if __name__ == "__main__":
    main()
