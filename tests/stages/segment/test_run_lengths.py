"""Run lengths of id maps found on a device: the same as one pixel after another, and as the wire's."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from stages.segment.run_lengths import Runs, runs_of
from tests.kernels import torch_device, without_waiting

MAPS = arrays(np.int32, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.integers(0, 3) | st.just(65_535))


def of_maps(runs: Runs) -> list[list[tuple[int, int]]]:
    """(value, length) of every run of every map."""
    pairs = list(zip(runs.values.tolist(), runs.lengths.tolist(), strict=True))
    offsets = runs.offsets.tolist()
    return [pairs[first:last] for first, last in pairwise(offsets)]


def slow_runs(ids: np.ndarray) -> list[list[tuple[int, int]]]:
    return [[(value, len(list(run))) for value, run in groupby(one.ravel().tolist())] for one in ids]


@given(MAPS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_maps(tensor_device: torch.device, ids: np.ndarray) -> None:
    expected = slow_runs(ids)
    given_ids = torch.from_numpy(ids).to(tensor_device)
    assert of_maps(runs_of(given_ids)) == expected
    total = sum(map(len, expected))
    for capacity in (total, total + 5):
        runs = runs_of(given_ids, capacity=capacity)
        assert len(runs.lengths) == len(runs.values) == capacity
        assert of_maps(runs) == expected
        assert not runs.lengths[total:].any()
        assert not runs.values[total:].any()


@given(MAPS)
@settings(deadline=None, max_examples=60)
def test_they_are_those_of_the_wire(ids: np.ndarray) -> None:
    from pipeline.wire.idmap import compress_runs, decode_id_map
    from pipeline.wire.idmap import runs_of as wire_runs_of

    for one, (lengths, values) in zip(ids, parts(runs_of(torch.from_numpy(ids))), strict=True):
        expected_lengths, expected_values = wire_runs_of(one.astype(np.uint16))
        assert lengths.tolist() == expected_lengths.tolist()
        assert values.tolist() == expected_values.tolist()
        coded = compress_runs(lengths.astype(np.uint32), values.astype(np.uint16))
        assert np.array_equal(decode_id_map(coded, width=one.shape[1], height=one.shape[0]), one)


def parts(runs: Runs) -> list[tuple[np.ndarray, np.ndarray]]:
    inner = runs.offsets[1:-1].tolist()
    return list(zip(*(np.split(column.numpy(), inner) for column in (runs.lengths, runs.values)), strict=True))


def test_a_map_that_is_a_view_is_read_as_it_looks(tensor_device: torch.device) -> None:
    ids = torch.arange(24, dtype=torch.int32, device=tensor_device).view(1, 4, 6) // 5
    view = ids[:, 1:, ::2]
    assert of_maps(runs_of(view)) == slow_runs(view.cpu().numpy())


def test_too_little_room_is_told_by_the_last_offset(tensor_device: torch.device) -> None:
    ids = torch.arange(12, dtype=torch.int32, device=tensor_device).view(2, 2, 3)
    runs = runs_of(ids, capacity=7)
    assert runs.offsets.tolist() == [0, 6, 12]
    assert runs.values[:6].tolist() == list(range(6))


def test_no_maps(tensor_device: torch.device) -> None:
    none = torch.zeros((0, 2, 3), dtype=torch.int32, device=tensor_device)
    for capacity in (None, 0, 4):
        runs = runs_of(none, capacity=capacity)
        assert runs.offsets.tolist() == [0]
        assert len(runs.lengths) == (capacity or 0)
    with pytest.raises(ValueError, match=r"ids are \[2, 0, 3\]"):
        runs_of(torch.zeros(2, 0, 3))


@pytest.mark.gpu
def test_nothing_is_waited_for_when_there_is_room() -> None:
    ids = torch.zeros((2, 270, 480), dtype=torch.int32, device=torch_device("cuda"))
    without_waiting(lambda: runs_of(ids, capacity=4000))
    with pytest.raises(RuntimeError, match="synchroniz"):
        without_waiting(lambda: runs_of(ids))
