"""Reading a source to its end in a test."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.messages import Frame
from pipeline.stage import StreamInfo
from stages.decode import open_source


@dataclass(frozen=True)
class Reading:
    """What a source gave."""

    frames: list[Frame]
    undecoded: int
    damaged: int
    info: StreamInfo
    fault: SourceError | None  # how a live source ended

    @property
    def sequence(self) -> list[tuple[int, int]]:
        """(epoch, seq) of every frame."""
        return [(frame.epoch, frame.seq) for frame in self.frames]


def read_source(url: str | Path, *, max_frames: int | None = None, **settings: Any) -> Reading:
    """Read until the end, a fault, or `max_frames`. Faults of opening are raised, those of reading are kept."""
    source = SourceConfig(**{"url": str(url), "source_id": "cam", **settings})
    frames: list[Frame] = []
    fault = None
    with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
        try:
            for frame in reader:
                frames.append(frame)
                if len(frames) == max_frames:
                    break
        except SourceError as exc:
            fault = exc
        return Reading(frames, reader.undecoded, reader.damaged, reader.info, fault)


def chained_texts(exc: BaseException) -> Iterator[str]:
    """Everything an error and what is chained to it would print, tracebacks with all chained ones included."""
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [exc]
    while pending:
        one = pending.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)), *map(str, getattr(one, "__notes__", [])))
        pending += [one.__cause__, one.__context__]
    yield "".join(traceback.format_exception(exc))
