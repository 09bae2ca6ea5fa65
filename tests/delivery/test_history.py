"""The checker finds what it is there for."""

from __future__ import annotations

import pytest

from tests.delivery.history import History, Told, runs


def result(seq: int, epoch: int = 1) -> Told:
    return Told(epoch, seq, seq, is_gap=False)


def gap(first: int, last: int, epoch: int = 1) -> Told:
    return Told(epoch, first, last, is_gap=True)


def history(*items: Told) -> History:
    made = History("door")
    for item in items:
        made.take(item)
    return made


def test_a_history_without_a_fault() -> None:
    verdict = history(result(0), result(1), gap(2, 4), result(5), result(0, epoch=2)).verdict({1: 6, 2: 1})
    assert (verdict.acknowledged, verdict.applied, verdict.declared) == (7, 4, 3)
    assert verdict.violations == ()


def test_what_is_told_twice_is_applied_once() -> None:
    verdict = history(result(0), result(1), result(0), result(1), result(2)).verdict({1: 3})
    assert (verdict.applied, verdict.repeated, verdict.violations) == (3, 2, ())


def test_a_result_supersedes_a_gap_whichever_comes_first() -> None:
    verdict = history(result(0), gap(1, 2), result(2)).verdict({1: 3})
    assert (verdict.applied, verdict.declared, verdict.violations) == (2, 1, ())
    verdict = history(result(0), result(1), gap(1, 2)).verdict({1: 3})
    assert (verdict.applied, verdict.declared, verdict.violations) == (2, 1, ())


@pytest.mark.parametrize(
    ("items", "settled", "told"),
    [
        ((result(0), result(2)), {}, "frames 1 to 1 of epoch 1"),
        ((result(0),), {1: 4}, "frames 1 to 3 of epoch 1"),
        ((result(0),), {1: 1, 2: 2}, "frames 0 to 1 of epoch 2"),
        ((result(0), result(2), result(1)), {}, "came behind"),
        ((result(0, epoch=2), result(0, epoch=1)), {}, "came behind"),
    ],
)
def test_faults_are_found(items: tuple[Told, ...], settled: dict[int, int], told: str) -> None:
    violations = history(*items).verdict(settled).violations
    assert len(violations) == 1
    assert told in violations[0]


def test_runs_of_numbers() -> None:
    assert list(runs([])) == []
    assert list(runs([0, 1, 2, 5, 7, 8])) == [(0, 2), (5, 5), (7, 8)]
