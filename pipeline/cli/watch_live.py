"""What arrives, as a table that is drawn anew: a row a source, for people who watch."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cli.live_table import STYLES
from pipeline.cli.watch_table import frame_time
from pipeline.client import SubscriberStatistics
from pipeline.messages import FrameResult, Gap, Item, Picture, SourceStatus, TrackState, ZoneEvent
from pipeline.states import SourceState

RATE_SECONDS: Final = 5.0  # results that the rate is taken over
COLUMNS: Final = ("source", "state", "frame", "time", "results/s", "lost")  # before `what`
JUSTIFIED: Final[dict[str, Literal["left", "right"]]] = {"results/s": "right", "lost": "right"}
FIRST_TO_GO: Final = ("time", "frame", "results/s", "state", "lost")  # on a narrow terminal
SPACE, LEAST_OF_WHAT = 2, 10  # characters
MOST_ARRIVALS: Final = 2_000
REDRAWN_A_SECOND: Final = 8


class Row:
    """The newest there is of a source."""

    def __init__(self) -> None:
        self.result: FrameResult | None = None
        self.state = ""
        self.lost = 0  # frames that the publisher declared lost
        self.reason = ""  # of the last of them
        self._arrivals: deque[float] = deque(maxlen=MOST_ARRIVALS)

    def take(self, item: Item, now: float) -> None:
        """Something came."""
        if isinstance(item, FrameResult):
            self.result = item
            self._arrivals.append(now)
        elif isinstance(item, Gap):
            self.lost += item.count
            self.reason = item.reason
        elif isinstance(item, SourceStatus):
            self.state = item.state

    def rate(self, now: float) -> float:
        """Results a second, lately."""
        while self._arrivals and now - self._arrivals[0] > RATE_SECONDS:
            self._arrivals.popleft()
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1] - self._arrivals[0], 1e-6)


class LiveWatch:
    """A context manager; the table stays as it was at the end."""

    def __init__(
        self,
        statistics: Callable[[], SubscriberStatistics],
        *,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`statistics` tells how much came and was missed, whenever the table is drawn."""
        self._statistics, self._now = statistics, now
        self._rows: dict[str, Row] = {}
        self._console = console or Console()
        self._live = Live(console=self._console, refresh_per_second=REDRAWN_A_SECOND, get_renderable=self.table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()

    def show(self, item: Item) -> None:
        """Take an item in; it is seen when the table is drawn next."""
        if not isinstance(item, Picture | ZoneEvent):
            self._rows.setdefault(item.source_id, Row()).take(item, self._now())

    def table(self) -> Group:
        """A row for each source, and below them what did not arrive."""
        counts = self._statistics()
        cells = [(Text(source_id), *_cells(row, self._now())) for source_id, row in sorted(self._rows.items())]
        widths = _widths(cells)
        shown = _that_fit(widths, self._console.width)
        drawn = Table(box=None, pad_edge=False, padding=(0, SPACE, 0, 0), header_style="dim")
        for place in shown:
            name = COLUMNS[place]
            # Each keeps its width: without that they would all be cut so that `what` is not.
            drawn.add_column(name, justify=JUSTIFIED.get(name, "left"), no_wrap=True, min_width=widths[place])
        drawn.add_column("what", overflow="ellipsis", no_wrap=True, ratio=1)
        for row in cells:
            drawn.add_row(*(row[place] for place in shown), row[-1])
        missed = Text(f"{counts.missed} missed", style="bold red" if counts.missed else "dim")
        fault = (f"; {counts.fault}", "bold red") if counts.fault else ""
        told = Text.assemble((f"{counts.received} received, ", "dim"), missed, fault, ("; Ctrl-C ends", "dim"))
        return Group(drawn, told)  # not as its caption, which would be as narrow as the table


def _widths(rows: Sequence[Sequence[Text]]) -> list[int]:
    """Characters that each column before `what` needs."""
    return [max([len(name), *(row[place].cell_len for row in rows)]) for place, name in enumerate(COLUMNS)]


def _that_fit(widths: Sequence[int], width: int) -> list[int]:
    """Which columns are shown in so many characters; the least needed go first where that is too few."""
    shown = list(range(len(COLUMNS)))
    for name in FIRST_TO_GO:
        if sum(widths[place] + SPACE for place in shown) + LEAST_OF_WHAT <= width:
            break
        shown.remove(COLUMNS.index(name))
    return shown


def _cells(row: Row, now: float) -> tuple[Text, ...]:
    state = Text(row.state.lower().replace("_", " "))
    if row.state:
        state.stylize(STYLES.get(SourceState(row.state), "bold red"))
    lost = Text(
        f"{row.lost} ({row.reason.replace('_', ' ')})" if row.lost else "0", style="yellow" if row.lost else "dim"
    )
    result = row.result
    if result is None:
        return state, Text(), Text(), Text(), lost, Text()
    rate, frame = Text(f"{row.rate(now):.1f}"), Text(f"{result.epoch}/{result.seq}")
    return state, frame, Text(frame_time(result)), rate, lost, _objects(result)


def _objects(result: FrameResult) -> Text:
    """How many there are of each class: of tracks where there are some, else of boxes, else of segments."""
    if len(result.tracks):
        labels = result.tracks[result.tracks.states == TrackState.CONFIRMED].labels.tolist()
    elif len(result.detections) or result.panoptic is None:
        labels = result.detections.labels.tolist()
    else:
        labels = result.panoptic.segments.labels.tolist()
    told = Text()
    for label, count in Counter(labels).most_common():
        told.append(f"{result.class_name(label)} ", style="dim").append(f"{count}  ", style="bold")
    return told
