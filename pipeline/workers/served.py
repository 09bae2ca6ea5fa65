"""A source as the publisher serves it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from pipeline.address import is_live
from pipeline.messages import SourceStatus
from pipeline.states import SourceState
from pipeline.status import News, status_of
from pipeline.workers.messages import SourceNews
from pipeline.workers.occupants import Occupant
from pipeline.workers.stream import Stream


@dataclass(slots=True, eq=False)
class Served:
    """Its frames, and what was told of it."""

    occupant: Occupant
    stream: Stream
    live: bool
    news: News = News()
    heard_at: float = 0.0  # monotonic seconds at which something was last said of its frames

    @classmethod
    def of(cls, occupant: Occupant) -> Served:
        """A source that nothing was told of yet."""
        source = occupant.source
        return cls(occupant, Stream(source.source_id, occupant.cells), live=is_live(source.url))

    @property
    def source_id(self) -> str:
        """Its name."""
        return self.occupant.source.source_id

    def hear(self, news: SourceNews) -> None:
        """Keep what its camera worker tells."""
        self.news = News(message=news.message, codec=news.codec or self.news.codec)
        self.stream.news(final=news.final)

    def status(self) -> SourceStatus:
        """How it is doing."""
        return status_of(
            self.source_id, self.occupant.cells, news=self.news, live=self.live, now_ns=time.monotonic_ns()
        )

    def last_status(self) -> SourceStatus:
        """How it did, now that it is gone."""
        return replace(self.status(), state=SourceState.REMOVED.value, message="", retry_in_seconds=None)
