"""How a source is doing, read off the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.board import SourceCells
from pipeline.latency import latency_of
from pipeline.messages import SourceStatus
from pipeline.states import SourceState

STATES: Final = tuple(SourceState)  # the board tells a state by its place here
STALL_SECONDS: Final = 2.0  # without a frame for this long, and for several frames' time, a camera is STALLED
STALL_FRAMES: Final = 5

_WITH_RATE: Final = (SourceState.STREAMING, SourceState.ENDED)


@dataclass(frozen=True, slots=True)
class News:
    """What the board's integers cannot tell."""

    message: str = ""
    codec: str = ""


def in_flight(cells: SourceCells) -> dict[str, int]:
    """A source's frames by the queue they are in, of a snapshot."""
    total: dict[str, int] = {}
    for row in cells.open_rows:
        for queue, frames in cells.in_flight(row).items():
            total[queue] = total.get(queue, 0) + frames
    return total


def status_of(source_id: str, cells: SourceCells, *, news: News, live: bool, now_ns: int) -> SourceStatus:
    """The status of a source whose cells are given; `now_ns` is on the monotonic clock."""
    now = cells.snapshot()
    camera, publisher, seen = now.camera, now.publisher, now.decoder
    rows = now.open_rows
    state = _state(now, now_ns, live=live)
    return SourceStatus(
        source_id=source_id,
        state=state,
        epoch=max([row.epoch for row in rows], default=publisher.epoch),
        message=news.message,
        captured=publisher.closed_captured + sum(row.captured for row in rows),
        resulted=publisher.resulted,
        dropped=publisher.dropped,
        in_flight=max(0, sum(in_flight(now).values())),  # less than none is for the balance to tell
        undecoded=camera.undecoded + now.decode.undecoded,
        damaged=camera.damaged + now.decode.damaged,
        width=seen.width,
        height=seen.height,
        codec=news.codec,
        frame_rate=seen.milli_fps / 1000 if state in _WITH_RATE else 0.0,
        epochs=camera.epochs + now.decode.epochs,
        reconnects=camera.reconnects,
        received_bytes=camera.received_bytes,
        last_frame_time_ns=seen.last_frame_time_ns,
        retry_in_seconds=max(0.0, (camera.retry_at_ns - now_ns) / 1e9) if camera.retry_at_ns else None,
        latency=latency_of(now.latency.buckets),
        expected_frames=camera.expected_frames or None,
        ledger_violations=now.audit.violations,
    )


def _state(cells: SourceCells, now_ns: int, *, live: bool) -> SourceState:
    seen = cells.decoder
    state = STATES[cells.camera.state]
    if state is not SourceState.STREAMING or not live or not seen.last_arrival_ns:
        return state
    usual_ns = STALL_FRAMES * 1e12 / seen.milli_fps if seen.milli_fps else 0.0
    silent_ns = now_ns - seen.last_arrival_ns
    return SourceState.STALLED if silent_ns > max(STALL_SECONDS * 1e9, usual_ns) else state
