"""Networks on torch: batches and buckets, precisions, compiled and captured, out of memory, and errors as ours."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import DeviceLost, EveryframeError, ModelError
from stages.models.backend import Normalisation
from stages.models.buckets import bucket_for, buckets_up_to, parts
from stages.models.devices import Device
from stages.models.torch_backend import TorchBackend, TorchNetwork
from tests.gpu import cuda_device

SIZE = (8, 12)
CPU = Device("cpu", "for a test")
LEVELS = Normalisation(mean=(10.0, 20.0, 30.0), deviation=(2.0, 4.0, 5.0))


SHORTAGES = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
)


class Means(nn.Module):
    """The mean [N, 3] of each channel after a convolution that changes nothing, and the picture's sum [N, 1]."""

    def __init__(
        self, most: int = 1 << 30, failure: Exception | None = None, shortage: RuntimeError = SHORTAGES[0]
    ) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.same.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        self.most = most
        self.failure = failure
        self.shortage = shortage
        self.batches: list[int] = []
        self.layouts: list[bool] = []

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        self.batches.append(len(pictures))
        self.layouts.append(pictures.is_contiguous(memory_format=torch.channels_last))
        if self.failure is not None and len(self.batches) > 1:  # the first is the look at the outputs' shapes
            raise self.failure
        if len(pictures) > self.most:
            raise self.shortage
        means = self.same(pictures).mean(dim=(2, 3))
        return {"means": means, "sum": means.sum(dim=1, keepdim=True)}


def backend(
    module: nn.Module | None = None,
    *,
    device: Device = CPU,
    normalise: Normalisation | None = LEVELS,
    static: bool = True,
    **settings: Any,
) -> TorchBackend:
    network = TorchNetwork(module or Means(), name="means", input_size=SIZE, device=device, static=static)
    return network.compile(normalise=normalise, **settings)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def expected(given: np.ndarray) -> np.ndarray:
    return (given.mean(axis=(1, 2)) - np.array(LEVELS.mean)) / np.array(LEVELS.deviation)


def test_buckets_are_powers_of_two_and_the_largest() -> None:
    assert buckets_up_to(1) == (1,)
    assert buckets_up_to(8) == (1, 2, 4, 8)
    assert buckets_up_to(6) == (1, 2, 4, 6)
    assert [bucket_for(n, (1, 2, 4, 6)) for n in (1, 2, 3, 5, 6, 9)] == [1, 2, 4, 6, 6, 6]
    assert list(parts(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    with pytest.raises(ValueError, match="1 or more"):
        buckets_up_to(0)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("execution", ["eager", "compile"])
def test_any_number_of_pictures_gives_what_one_by_one_gives(count: int, execution: Any) -> None:
    module = Means()
    network = backend(module, largest=4, execution=execution, compiler="eager")
    given = pictures(count)
    outputs = network(given)
    assert outputs["means"].shape == (count, 3)
    assert outputs["means"].dtype == np.float32
    np.testing.assert_allclose(outputs["means"], expected(given), atol=1e-4)
    np.testing.assert_allclose(outputs["sum"][:, 0], expected(given).sum(axis=1), atol=1e-3)
    assert max(module.batches) <= 4
    assert all(module.layouts[1:]), "the network was given pictures that are not channels-last"
    network.close()


def test_compiled_batches_are_padded_to_buckets_and_eager_ones_are_not() -> None:
    for execution, seen in (("compile", {1, 4}), ("eager", {1, 3})):
        module = Means()
        network = backend(module, largest=4, execution=execution, compiler="eager")  # type: ignore[arg-type]
        network(pictures(3))
        assert set(module.batches) == seen
        network.close()


def test_outputs_are_the_callers_to_keep() -> None:
    network = backend(largest=4)
    first = network(pictures(3))["means"]
    kept = first.copy()
    network(pictures(4))
    assert np.array_equal(first, kept)
    network.close()


@pytest.mark.parametrize("precision", ["f32", "bf16", "fp16"])
def test_precisions_agree_within_their_rounding_and_come_as_f32(precision: Any) -> None:
    network = backend(precision=precision, largest=2)
    given = pictures(2)
    found = network(given)["means"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(given), rtol=1e-5 if precision == "f32" else 0.02)
    assert f"torch {precision} on cpu, eager, up to 2 at once" in network.note
    network.close()


def test_without_a_normalisation_it_takes_what_the_network_takes() -> None:
    network = backend(normalise=None)
    given = np.random.default_rng(1).normal(size=(2, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(network(given)["means"], given.mean(axis=(2, 3)), atol=1e-5)
    network.close()


def test_pictures_of_another_size_are_refused() -> None:
    network = backend()
    with pytest.raises(ModelError, match=r"the network takes \[N, 8, 12, 3\]"):
        network(np.zeros((1, 9, 12, 3), dtype=np.uint8))
    network.close()


def test_a_network_that_was_closed_says_so() -> None:
    network = backend()
    network.close()
    network.close()
    with pytest.raises(ModelError, match="closed"):
        network(pictures(1))


def test_out_of_memory_halves_the_batch_for_good_and_says_so() -> None:
    module = Means(most=2)
    network = backend(module, largest=8)
    given = pictures(7)
    np.testing.assert_allclose(network(given)["means"], expected(given), atol=1e-4)
    assert network.largest == 2
    assert network.statistics() == {"largest": 2, "out_of_memory": 2}  # 7, then 4
    told = network.complaints()
    assert "ran out of memory with a batch of 7; from here on 4" in told[0]
    assert "from here on 2" in told[1]
    assert network.complaints() == []
    module.batches.clear()
    network(given)
    assert module.batches == [2, 2, 2, 1]
    network.close()


@pytest.mark.parametrize("shortage", SHORTAGES, ids=["allocator", "driver", "library"])
def test_memory_may_lack_outside_of_torchs_allocator(shortage: RuntimeError) -> None:
    network = backend(Means(most=2, shortage=shortage), largest=4)
    given = pictures(4)
    np.testing.assert_allclose(network(given)["means"], expected(given), atol=1e-4)
    assert network.largest == 2
    network.close()


def test_memory_too_small_for_one_picture_is_an_error_of_the_batch() -> None:
    module = Means()
    network = backend(module, largest=4)
    module.most = 0
    for _ in range(3):  # each slot was given back
        with pytest.raises(ModelError, match="too little memory for a single picture"):
            network(pictures(4))
    module.most = 4
    assert len(network(pictures(4))["means"]) == 4
    network.close()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be", DeviceLost),
        ("mat1 and mat2 shapes cannot be multiplied", ModelError),
    ],
)
def test_errors_of_torch_come_as_ours(message: str, error: type[EveryframeError]) -> None:
    network = backend(Means(failure=RuntimeError(message)))
    with pytest.raises(error, match=r"means: the network failed: \S+ ") as caught:
        network(pictures(1))
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    network.close()


def test_a_network_that_fails_on_its_first_picture_is_refused() -> None:
    with pytest.raises(ModelError, match="tiny: the network fails on a picture of 12x8"):
        TorchNetwork(nn.Linear(5, 5), name="tiny", input_size=SIZE, device=CPU)


@pytest.mark.parametrize(("execution", "why"), [("graph", "it runs on the CPU")])
def test_a_graph_needs_a_gpu(execution: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        backend(execution=execution)


def test_warming_up_runs_every_bucket_and_tells_of_it() -> None:
    module, told = Means(), list[str]()
    network = backend(module, largest=4, execution="compile", compiler="eager")
    network.warm_up(told.append)
    assert set(module.batches[1:]) == {1, 2, 4}
    assert [line.partition(" (")[2].partition(",")[0] for line in told] == ["1 of 3", "2 of 3", "3 of 3"]
    network.close()


def test_warming_up_ends_where_memory_does() -> None:
    network = backend(Means(most=1), largest=4, execution="compile", compiler="eager")
    network.warm_up()
    assert network.largest == 1
    network.close()


def test_many_threads_may_call_at_once() -> None:
    network = backend(largest=4, lanes=4)
    gate = threading.Barrier(4)

    def call(count: int) -> bool:
        gate.wait(timeout=60)
        given = pictures(count)
        return bool(np.allclose(network(given)["means"], expected(given), atol=1e-4))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, [1, 2, 3, 4]))
    network.close()


def test_two_networks_can_be_started_before_either_is_waited_for() -> None:
    first, second = backend(largest=2), backend(largest=2)
    given = pictures(2)
    begun = [network.start(given) for network in (first, second)]
    for pending in begun:
        np.testing.assert_allclose(pending.result()["means"], expected(given), atol=1e-4)
    first.close()
    second.close()


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("EVERYFRAME_COMPILE"), reason="takes 20 s; EVERYFRAME_COMPILE=1 runs it")
def test_the_default_compiler_gives_the_same() -> None:
    network = backend(largest=1, execution="compile")
    given = pictures(1)
    np.testing.assert_allclose(network(given)["means"], expected(given), atol=1e-4)
    network.close()


# On a GPU: EVERYFRAME_REQUIRE=gpu pytest -m gpu


@pytest.mark.gpu
@pytest.mark.parametrize("execution", ["eager", "compile", "graph"])
@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_a_gpu_gives_what_the_cpu_gives(execution: Any, count: int) -> None:
    network = backend(device=cuda_device(), execution=execution, precision="f32", largest=8, lanes=2)
    network.warm_up()
    for seed in (count, count + 100):  # the second replays what the first captured
        given = np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)
        np.testing.assert_allclose(network(given)["means"], expected(given), rtol=1e-3, atol=1e-3)
    network.close()


@pytest.mark.gpu
def test_auto_captures_a_graph_on_a_gpu_and_says_so() -> None:
    network = backend(device=cuda_device(), largest=2)
    network.warm_up()
    assert network.note == "torch fp16 on cuda:0, graph, up to 2 at once"
    network.close()


class Stubborn(Means):
    """One that waits on the host for a number, which a graph cannot hold."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        assert pictures.sum().item() is not None
        return super().forward(pictures)


@pytest.mark.gpu
def test_what_cannot_be_captured_runs_eagerly_and_says_so() -> None:
    network = backend(Stubborn(), device=cuda_device(), precision="f32", largest=2)
    given = pictures(2)
    np.testing.assert_allclose(network(given)["means"], expected(given), rtol=1e-3, atol=1e-3)
    assert "cannot be captured" in network.complaints()[0]
    assert "eager" in network.note
    network.close()


@pytest.mark.gpu
def test_two_networks_on_a_gpu_have_streams_of_their_own() -> None:
    device = cuda_device()
    networks = [backend(device=device, precision="f32", largest=8, lanes=2) for _ in range(2)]
    given = pictures(8)
    for _ in range(20):
        for pending in [network.start(given) for network in networks]:
            np.testing.assert_allclose(pending.result()["means"], expected(given), rtol=1e-3, atol=1e-3)
    for network in networks:
        network.close()
