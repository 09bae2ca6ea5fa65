"""200 sources of mixed rates, in bursts and stalling, on a virtual clock: short runs of `tests.benchmarks.batching`."""

from __future__ import annotations

import pytest

from pipeline.batching import Batcher, Cadence, Waiting
from pipeline.messages import Gap
from tests.benchmarks.batching import MAX_WAIT_MS, STALE_MS, Picture, simulate

MS = 1_000_000


@pytest.mark.parametrize("load", [0.1, 0.6])
def test_below_capacity_nobody_waits_longer_than_max_wait_and_batches_are_as_full_as_they_can_be(load: float) -> None:
    outcome = simulate(load=load, seconds=4.0)
    assert outcome.p99_ms <= MAX_WAIT_MS
    assert outcome.occupancy >= 0.9 * outcome.allowed_occupancy
    assert outcome.jain >= 0.98


def test_above_capacity_batches_are_full_shares_fair_and_waits_bounded() -> None:
    outcome = simulate(load=2.0, seconds=4.0)
    assert outcome.occupancy >= 31.5
    assert outcome.jain >= 0.98
    assert max(outcome.waits_ms) <= STALE_MS
    assert sum(outcome.served.values()) < 0.6 * sum(outcome.offered.values())


def test_a_stalled_source_holds_no_batch() -> None:
    made: Batcher[Picture] = Batcher(max_batch=3, max_wait_ns=10 * MS, queue_frames=2)
    for source in ("stalled", "a", "b", "c"):
        made.add_source(source, lossless=False)
    for source in "abc":
        made.push(source, Picture(1, 0, 0), now_ns=0)
    assert len(made.take(now_ns=0)) == 3
    made.push("a", Picture(1, 1, 0), now_ns=0)
    assert made.due_ns() == 10 * MS


def test_frames_are_let_go_earlier_by_as_much_as_a_batch_takes_but_never_before_they_come() -> None:
    made: Batcher[Picture] = Batcher(max_batch=8, max_wait_ns=10 * MS, queue_frames=2)
    made.add_source("a", lossless=False)
    made.push("a", Picture(1, 0, 0), now_ns=5 * MS)
    made.took(0.004)
    assert made.due_ns() == 11 * MS
    made.took(0.5)
    assert made.due_ns() == 5 * MS


def test_a_live_frame_that_waited_too_long_is_a_gap_at_its_place_and_a_file_keeps_all() -> None:
    made: Batcher[Picture] = Batcher(max_batch=9, max_wait_ns=0, queue_frames=3, stale_ns=20 * MS)
    made.add_source("live", lossless=False)
    made.add_source("file", lossless=True)
    for seq, at in enumerate((0, 5, 30)):
        for source in ("live", "file"):
            made.push(source, Picture(1, seq, 0), now_ns=at * MS)
    assert [frame.seq for frame in made.expire(now_ns=26 * MS)] == [0, 1]
    assert made.expire(now_ns=26 * MS) == []
    assert made.waiting == 4
    taken = made.take(now_ns=30 * MS)
    assert [entry for entry in taken if isinstance(entry, Gap)] == [Gap("live", 1, 0, 1, "late")]
    frames = [(entry.source_id, entry.frame.seq) for entry in taken if isinstance(entry, Waiting)]
    assert sorted(frames) == [("file", 0), ("file", 1), ("file", 2), ("live", 2)]


def wanted(cadence: Cadence, times_ms: list[float]) -> list[int]:
    return [i for i, time in enumerate(times_ms) if cadence.wants(round(time * MS))]


def test_a_target_rate_is_kept_on_average() -> None:
    assert wanted(Cadence(5), [40 * n for n in range(25)]) == [0, 5, 10, 15, 20]
    assert len(wanted(Cadence(10), [40 * n for n in range(250)])) == 100
    assert len(wanted(Cadence(50), [40 * n for n in range(250)])) == 250
    jittered = [40 * n + (7 * n) % 11 for n in range(250)]
    assert len(wanted(Cadence(12.5), jittered)) == pytest.approx(125, abs=1)


def test_after_a_pause_or_a_step_of_the_clock_the_next_frame_is_analysed() -> None:
    assert wanted(Cadence(5), [0, 40, 5000, 5040, 5080, 5120, 5160, 5200]) == [0, 2, 7]
    assert wanted(Cadence(5), [10_000, 10_040, 0, 40, 80, 120, 160, 200]) == [0, 2, 7]


def test_skipped_frames_go_along_in_their_place_and_count_for_nothing() -> None:
    made: Batcher[Picture] = Batcher(max_batch=2, max_wait_ns=100 * MS, queue_frames=2)
    made.add_source("a", lossless=False, target_fps=5)
    made.add_source("b", lossless=False)
    for seq in range(4):
        made.push("a", Picture(1, seq, seq * 40 * MS), now_ns=0)
    assert made.take(now_ns=0) == []  # one frame to analyse, which may wait for company
    assert made.waiting == 4
    made.push("b", Picture(1, 0, 0), now_ns=0)
    taken = made.take(now_ns=0)
    frames = [(e.source_id, e.frame.seq, e.analysed) for e in taken if isinstance(e, Waiting)]
    assert frames == [("a", 0, True), ("a", 1, False), ("a", 2, False), ("a", 3, False), ("b", 0, True)]
    made.push("a", Picture(1, 4, 160 * MS), now_ns=0)
    assert made.due_ns() == 0  # nothing stands before it
    made.note(Gap("a", 1, 5, 5, "late"))
    assert [type(entry) for entry in made.take(now_ns=0)] == [Waiting]
    assert made.noticed == ["a"]
    assert made.waiting == 0


def test_a_frame_that_gives_way_leaves_the_skipped_ones_before_it() -> None:
    made: Batcher[Picture] = Batcher(max_batch=9, max_wait_ns=0, queue_frames=1)
    made.add_source("a", lossless=False, target_fps=12.5)
    gone = [made.push("a", Picture(1, seq, seq * 40 * MS), now_ns=0) for seq in range(6)]
    assert [frame.seq for frame in gone if frame is not None] == [0, 2]
    assert made.held("a") == 6
    taken = made.take(now_ns=0)
    assert [e.frame.seq if isinstance(e, Waiting) else e.first_seq for e in taken] == [0, 1, 2, 3, 4, 5]
    assert [isinstance(e, Gap) for e in taken] == [True, False, True, False, False, False]
    assert made.waiting == 0


def test_a_source_that_goes_takes_its_turn_and_its_frames_with_it() -> None:
    made: Batcher[Picture] = Batcher(max_batch=9, max_wait_ns=0, queue_frames=2)
    for source in ("a", "b"):
        made.add_source(source, lossless=False, target_fps=12.5)
        for seq in range(2):
            made.push(source, Picture(1, seq, seq * 40 * MS), now_ns=0)
    made.remove_source("a")
    assert made.waiting == 2
    made.add_source("a", lossless=False)
    made.push("a", Picture(1, 7, 0), now_ns=0)
    frames = [(e.source_id, e.frame.seq) for e in made.take(now_ns=0) if isinstance(e, Waiting)]
    assert sorted(frames) == [("a", 7), ("b", 0), ("b", 1)]
