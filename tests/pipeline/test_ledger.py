"""A source's ledger: every frame settled once, in order, the past fenced off."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.board import SOURCE_WORDS, SourceCells
from pipeline.ledger import Ledger, Settled, SourceLedger
from pipeline.messages import Gap
from pipeline.workers.messages import Analysed, Lost
from pipeline.workers.stream import Stream


def test_results_in_order_leave_no_gap() -> None:
    ledger = SourceLedger("a")
    assert [ledger.result(1, seq) for seq in range(3)] == [Settled((), 0)] * 3
    assert (ledger.settled, ledger.counts.resulted, ledger.counts.dropped) == (3, 3, {})


def test_a_hole_becomes_a_gap_in_front_of_the_result() -> None:
    ledger = SourceLedger("a")
    assert ledger.result(1, 2, hole="backlog") == Settled((Gap("a", 1, 0, 1, "backlog"),), 2)
    assert ledger.counts.dropped == {"backlog": 2}


def test_losses_told_of_are_declared_at_once_and_counted_in_the_next_result() -> None:
    ledger = SourceLedger("a")
    assert ledger.lost(1, 0, 1, "late") == (Gap("a", 1, 0, 1, "late"),)
    assert ledger.lost(1, 4, 4, "backlog") == (Gap("a", 1, 2, 3, "worker_restart"), Gap("a", 1, 4, 4, "backlog"))
    assert ledger.result(1, 5) == Settled((), 5)
    assert ledger.result(1, 6) == Settled((), 0)


def test_the_past_is_fenced_off() -> None:
    ledger = SourceLedger("a")
    ledger.result(2, 0)
    assert ledger.result(2, 0) is None
    assert ledger.result(1, 9) is None
    assert ledger.lost(1, 0, 9, "late") == ()
    assert (ledger.counts.fenced, ledger.settled) == (3, 1)


def test_a_loss_half_settled_counts_the_rest() -> None:
    ledger = SourceLedger("a")
    ledger.result(1, 0)
    ledger.result(1, 1)
    assert ledger.lost(1, 0, 3, "backlog") == (Gap("a", 1, 2, 3, "backlog"),)


def test_closing_an_epoch_declares_its_tail() -> None:
    ledger = SourceLedger("a")
    ledger.result(1, 0)
    assert ledger.close(1, 4, "shutdown") == (Gap("a", 1, 1, 3, "shutdown"),)
    assert ledger.close(1, 4, "shutdown") == ()
    assert ledger.close(2, 0, "shutdown") == ()
    assert ledger.counts.fenced == 0


def test_an_epoch_of_which_nothing_came_is_all_gap() -> None:
    assert SourceLedger("a").close(7, 3, "shutdown") == (Gap("a", 7, 0, 2, "shutdown"),)


def test_a_result_that_may_not_have_left_becomes_a_gap() -> None:
    ledger = SourceLedger("a")
    ledger.result(1, 0)
    assert ledger.unsettle() == (Gap("a", 1, 0, 0, "worker_restart"),)
    assert (ledger.settled, ledger.counts.resulted) == (1, 0)
    assert ledger.result(1, 1) == Settled((), 1)


def test_sources_do_not_touch_each_other() -> None:
    ledger = Ledger()
    ledger["a"].result(1, 0)
    assert (ledger["a"].settled, ledger["b"].settled) == (1, 0)


EVENTS = st.tuples(st.sampled_from(["result", "lost", "close"]), st.integers(1, 4), st.integers(0, 12))


@given(st.lists(EVENTS, max_size=60))
def test_whatever_is_said_each_frame_is_declared_at_most_once_and_in_order(events: list[tuple[str, int, int]]) -> None:
    ledger = SourceLedger("a")
    declared: list[tuple[int, int]] = []
    for what, epoch, seq in events:
        if what == "result":
            settled = ledger.result(epoch, seq)
            gaps = settled.gaps if settled else ()
            after = [(epoch, seq)] if settled else []
        elif what == "lost":
            gaps, after = ledger.lost(epoch, max(0, seq - 2), seq, "backlog"), []
        else:
            gaps, after = ledger.close(epoch, seq, "shutdown"), []
        declared += [(gap.epoch, n) for gap in gaps for n in range(gap.first_seq, gap.last_seq + 1)] + after
        assert ledger.settled == len(declared)
    assert declared == sorted(set(declared))


def test_the_short_way_to_settle_the_next_result_is_the_long_one() -> None:
    """`PublisherCells.settle_next` against ledger and stream, word by word, over epochs, holes and losses."""
    chance = random.Random(5)
    quick, slow = (SourceCells(memoryview(bytearray(8 * SOURCE_WORDS)).cast("q")) for _ in range(2))
    streams = [Stream("cam", quick), Stream("cam", slow)]
    epoch = seq = 0
    short = 0
    for _ in range(400):
        if chance.random() < 0.05 or not epoch:
            epoch, seq = epoch + 1, chance.choice([0, 0, 2])
        seq += chance.choice([0, 0, 0, 0, 1, -1]) if seq else 0
        message = Analysed(0, epoch, seq, 0, None)
        if chance.random() < 0.1:
            dues = [stream.lost(Lost(0, epoch, seq, seq + 1, "late")) for stream in streams]
            seq += 1
        else:
            short += quick.publisher.epoch == epoch and quick.publisher.next_seq == seq
            first = streams[0].result(message)
            slow.publisher.settle_next = lambda *_: None  # type: ignore[method-assign]
            dues = [first, streams[1].result(message)]  # type: ignore[list-item]
        assert dues[0] == dues[1]
        assert list(quick.publisher.words) == list(slow.publisher.words)
        if chance.random() < 0.9:
            for stream in streams:
                stream.sent()
        seq += 1
    assert short > 200
