"""Deadline batching on a virtual clock: nobody waits too long, nobody is starved, order is kept."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from pipeline.batching import Batcher, EpochEnd, Notice, Waiting
from pipeline.messages import Gap

MS = 1_000_000


@dataclass(frozen=True)
class Picture:
    epoch: int
    seq: int
    capture_time_ns: int = 0


def batcher(*, max_batch: int = 4, max_wait_ms: int = 10, queue_frames: int = 2, **sources: int) -> Batcher[Picture]:
    made: Batcher[Picture] = Batcher(max_batch=max_batch, max_wait_ns=max_wait_ms * MS, queue_frames=queue_frames)
    for source_id, priority in (sources or {"a": 1, "b": 1}).items():
        made.add_source(source_id, lossless=source_id.startswith("file"), priority=priority)
    return made


def seqs(entries: list[Waiting[Picture] | Notice]) -> list[tuple[str, int]]:
    return [(entry.source_id, entry.frame.seq) for entry in entries if isinstance(entry, Waiting)]


def test_nothing_waits_nothing_is_due() -> None:
    made = batcher()
    assert made.take(now_ns=10**18) == []
    assert made.due_ns() is None
    assert made.waiting == 0


def test_a_batch_is_given_when_it_is_full_or_when_its_oldest_frame_has_waited() -> None:
    made = batcher(max_batch=2)
    made.push("a", Picture(1, 0), now_ns=0)
    assert made.due_ns() == 10 * MS
    assert made.take(now_ns=10 * MS - 1) == []
    made.push("b", Picture(1, 0), now_ns=5)
    assert seqs(made.take(now_ns=6)) == [("a", 0), ("b", 0)]
    made.push("a", Picture(1, 1), now_ns=20 * MS)
    assert seqs(made.take(now_ns=30 * MS)) == [("a", 1)]


def test_in_a_live_queue_the_newest_wins_and_the_loser_is_told_of_in_its_place() -> None:
    made = batcher(max_batch=9)
    gone = [made.push("a", Picture(1, seq), now_ns=0) for seq in range(5)]
    assert gone == [None, None, Picture(1, 0), Picture(1, 1), Picture(1, 2)]
    first, *rest = made.take(now_ns=10**18)
    assert first == Gap("a", 1, 0, 2, "backlog")
    assert seqs(rest) == [("a", 3), ("a", 4)]


def test_a_lossless_queue_keeps_everything() -> None:
    made = batcher(file=1, max_batch=9)
    assert [made.push("file", Picture(1, seq), now_ns=0) for seq in range(5)] == [None] * 5
    assert seqs(made.take(now_ns=10**18)) == [("file", seq) for seq in range(5)]


def test_notices_keep_their_place_and_neighbours_that_agree_are_joined() -> None:
    made = batcher(max_batch=9, queue_frames=9)
    made.push("a", Picture(1, 0), now_ns=0)
    made.note(Gap("a", 1, 1, 1, "backlog"))
    made.note(Gap("a", 1, 2, 3, "backlog"))
    made.note(Gap("a", 1, 4, 4, "late"))
    end = EpochEnd("a", 1, 5, "shutdown", final=False)
    made.note(end)
    made.push("a", Picture(2, 0), now_ns=0)
    assert made.take_notices("a") == []
    taken = made.take(now_ns=10**18)
    assert taken[1:4] == [Gap("a", 1, 1, 3, "backlog"), Gap("a", 1, 4, 4, "late"), end]
    assert seqs(taken) == [("a", 0), ("a", 0)]


def test_notices_without_a_frame_before_them_can_be_taken_alone() -> None:
    made = batcher()
    made.note(Gap("a", 1, 0, 0, "late"))
    assert made.held("a") == 1
    assert made.take_notices("a") == [Gap("a", 1, 0, 0, "late")]
    assert made.held("a") == 0


def test_notices_behind_the_last_frame_of_a_batch_stay() -> None:
    made = batcher(max_batch=1)
    made.push("a", Picture(1, 0), now_ns=0)
    made.note(Gap("a", 1, 1, 1, "late"))
    assert len(made.take(now_ns=0)) == 1
    assert made.take_notices("a") == [Gap("a", 1, 1, 1, "late")]


@pytest.mark.parametrize(("priority", "share"), [(1, 0.5), (3, 0.75)])
def test_sources_share_a_busy_network_by_priority(priority: int, share: float) -> None:
    made = batcher(max_batch=1, a=priority, b=1)
    taken = []
    for step in range(400):
        for source_id in ("a", "b"):
            made.push(source_id, Picture(1, step), now_ns=step)
        taken += seqs(made.take(now_ns=step))
    assert sum(source_id == "a" for source_id, _ in taken) / len(taken) == pytest.approx(share, abs=0.02)


def test_a_source_that_was_silent_has_no_claim_on_turns_it_did_not_use() -> None:
    made = batcher(max_batch=1)
    for step in range(100):
        made.push("a", Picture(1, step), now_ns=step)
        made.take(now_ns=step)
    taken = []
    for step in range(100, 120):
        for source_id in ("a", "b"):
            made.push(source_id, Picture(1, step), now_ns=step)
        taken += seqs(made.take(now_ns=step))
    assert 9 <= sum(source_id == "b" for source_id, _ in taken) <= 11


def test_frames_wait_no_longer_than_the_deadline_while_the_network_keeps_up() -> None:
    """Four cameras with jitter on a virtual clock: the 99th percentile of waiting stays within `max_wait`."""
    chance = random.Random(7)
    made = batcher(max_batch=8, max_wait_ms=10, a=1, b=1, c=1, d=1)
    arrivals = sorted(
        (int((n / 30 + chance.uniform(0, 0.01)) * 1e9), source_id, n) for source_id in "abcd" for n in range(300)
    )
    waited, lost = [], 0
    for now_ns, source_id, n in arrivals:
        while (due_ns := made.due_ns()) is not None and due_ns <= now_ns:
            waited += [due_ns - e.since_ns for e in made.take(now_ns=due_ns) if isinstance(e, Waiting)]
        lost += made.push(source_id, Picture(1, n), now_ns=now_ns) is not None
        waited += [now_ns - e.since_ns for e in made.take(now_ns=now_ns) if isinstance(e, Waiting)]
    assert sorted(waited)[int(0.99 * len(waited))] <= 10 * MS
    assert lost == 0
    assert len(waited) + made.waiting == len(arrivals)
