"""A source that takes part in a run, as the supervisor sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.address import is_live
from pipeline.board import Role, SourceCells
from pipeline.config import SourceConfig
from pipeline.errors import EveryframeError
from pipeline.messages import SourceStatus
from pipeline.seats import Seat
from pipeline.status import News, status_of
from pipeline.workers.messages import SourceNews


@dataclass(slots=True, eq=False)
class Member:
    """Its place, the seat of its camera worker, and what is known of it."""

    number: int  # in messages; never given again
    source: SourceConfig
    place: int  # on the board
    cells: SourceCells
    seat: Seat
    vision: Seat  # of the vision worker that looks at its frames
    news: News = field(default_factory=News)
    error: EveryframeError | None = None  # why it has failed for good
    latest: SourceNews | None = None  # for a new publisher
    leaving: bool = False  # it is being removed
    withdrawn: bool = False  # all its frames are settled, and the workers are told to let go
    held_by: set[Role] = field(default_factory=set)  # of those, the ones that have not yet
    passed: bytes = b""  # the last segment that its workers took, of a folder
    crashes: list[float] = field(default_factory=list)  # monotonic seconds; of vision workers, decoding it alone
    on_cpu: bool = False  # its camera worker is to decode it
    held: bool = False  # a recording whose worker reads no further for now
    left_at: float = 0.0  # monotonic seconds; when it was removed
    chased_at: float = 0.0  # when what it left behind was last asked for

    @property
    def paused(self) -> bool:
        """Whether it is to give no frames for now."""
        return self.seat.paused or self.held

    def status(self, *, now_ns: int) -> SourceStatus:
        """How it is doing; `now_ns` is on the monotonic clock."""
        return status_of(
            self.source.source_id, self.cells, news=self.news, live=is_live(self.source.url), now_ns=now_ns
        )
