"""Looking on while a soak runs: what came out, what the ledger says, what the processes take."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engines.local import LocalEngine
from pipeline.latency import BUCKETS, percentile_ms
from pipeline.messages import Gap


@dataclass(slots=True)
class Account:
    """What the program has been given of a source."""

    at: tuple[int, int] = (0, 0)  # epoch, next frame
    results: int = 0
    lost: int = 0
    last_result_at: float = 0.0  # monotonic


class Reader(threading.Thread):
    """Reads all results and keeps only counts; a hole, a repetition or a disorder is a fault of ours."""

    def __init__(self, engine: LocalEngine) -> None:
        super().__init__(name="soak-reader", daemon=True)
        self._engine = engine
        self.accounts: dict[str, Account] = {}
        self.wrong: list[str] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        """Until the engine stops."""
        try:
            for item in self._engine.results():
                account = self.accounts.setdefault(item.source_id, Account())
                first, last = (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)
                self._follow(account, item.source_id, item.epoch, first, last)
                if isinstance(item, Gap):
                    account.lost += item.count
                else:
                    account.results, account.last_result_at = account.results + 1, time.monotonic()
        except Exception as exc:  # noqa: BLE001 - the judge is told, and the soak fails
            self.failure = exc

    def _follow(self, account: Account, source_id: str, epoch: int, first: int, last: int) -> None:
        due = account.at if epoch == account.at[0] else (epoch, 0)
        if (epoch, first) != due or epoch < account.at[0]:
            self.wrong.append(f"{source_id}: {epoch}/{first} came where {due[0]}/{due[1]} was due")
        account.at = (epoch, last + 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """The processes at one instant."""

    seconds: float
    memory_mb: float  # of no file: heaps and stacks, and shared memory counted once
    descriptors: int
    workers: int


@dataclass(slots=True)
class Minute:
    """One minute's results."""

    seconds: float
    results: int
    p95_ms: float


@dataclass(slots=True)
class Watch:
    """Everything seen so far."""

    engine: LocalEngine
    samples: list[Sample] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    polls: int = 0
    _buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def poll(self, seconds: float) -> None:
        """The ledger, now."""
        self.polls += 1
        for source in self.engine.statistics().sources:
            if source.balance or source.ledger_violations:
                self.unbalanced.append(f"{seconds:.1f} s: {source}")

    def sample(self, seconds: float) -> None:
        """Memory and descriptors, now; of all processes."""
        pids = [os.getpid(), *workers_of(self.engine)]
        memory = sum(map(memory_kb, pids)) / 1024
        self.samples.append(Sample(seconds, memory, sum(map(descriptors_of, pids)), len(pids) - 1))

    def end_minute(self, seconds: float) -> None:
        """Latency and results since the last call."""
        cells = [cells.latency.buckets for cells in self.engine._roster.shared.board.sources]
        buckets = [sum(words[i] for words in cells) for i in range(BUCKETS)]
        since = [now - before for now, before in zip(buckets, self._buckets, strict=True)]
        self._buckets = buckets
        self.minutes.append(Minute(seconds, sum(since), percentile_ms(since, 0.95)))


def workers_of(engine: LocalEngine) -> list[int]:
    """The processes of the workers there are."""
    return [seat.child.pid for seat in engine._roster.seats if seat.child is not None]


def memory_kb(pid: int) -> int:
    """The proportional set size of a process without pages of files, which others on the machine may come to share.

    0 for a process that has gone.
    """
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return 0


def descriptors_of(pid: int) -> int:
    """Open descriptors of a process; 0 for one that has gone."""
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
