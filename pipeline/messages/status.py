"""How sources and a whole run are doing."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Latency:
    """From arrival to the result handed to the sinks, over all frames of a source."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is doing, as published on `<source_id>/status/`."""

    source_id: str
    state: str  # a SourceState
    epoch: int
    message: str = ""  # why, without secrets
    captured: int = 0  # frames decoded, over all epochs of this run
    resulted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by reason
    in_flight: int = 0
    undecoded: int = 0  # packets that gave no frame
    damaged: int = 0  # of the captured frames, those that the decoder had to guess parts of
    width: int = 0
    height: int = 0
    codec: str = ""
    frame_rate: float = 0.0  # measured, frames a second
    epochs: int = 0  # sessions so far in this run
    reconnects: int = 0
    received_bytes: int = 0  # of video, in this run
    last_frame_time_ns: int = 0  # wall clock, when the last frame was decoded
    retry_in_seconds: float | None = None
    latency: Latency | None = None
    expected_frames: int | None = None  # of a file, where its container tells
    ledger_violations: int = 0  # how often the running check found `balance` to be another number than zero

    @property
    def balance(self) -> int:
        """Frames unaccounted for: zero, or the ledger is wrong."""
        return self.captured - self.resulted - sum(self.dropped.values()) - self.in_flight


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """A whole run at one instant."""

    sources: tuple[SourceStatus, ...]
    elapsed_seconds: float
    notes: tuple[str, ...] = ()  # what `auto` chose, one sentence each
    finished: bool = False

    @property
    def resulted(self) -> int:
        """Results of all sources."""
        return sum(source.resulted for source in self.sources)

    @property
    def ledger_violations(self) -> int:
        """How often the running check found frames of a source unaccounted for; zero, or the ledger is wrong."""
        return sum(source.ledger_violations for source in self.sources)

    @property
    def frames_per_second(self) -> float:
        """Results a second since the first frame was asked for."""
        return self.resulted / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0
