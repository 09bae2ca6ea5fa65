"""The device path when the device fails or runs short, when two batches meet, and what it waits for on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.errors import DeviceLost
from pipeline.messages import Batch, DeviceSurface, Frame, Surface
from stages.models.torch_buckets import Buckets
from stages.models.torch_slots import Slot
from stages.on_device import OnDevice
from stages.zoo_on_device import zoo_on_device
from tests.gpu import cuda_device
from tests.kernels import without_waiting
from tests.stages.cells import Brightness, Cells, clip, frame, machine, network, on, through

LOST = "CUDA error: an illegal memory access was encountered"
CPU = torch.device("cpu")


def stage_of(device: torch.device = CPU, *, execution: Any = "auto", beside: Any = "auto") -> OnDevice:
    """A detector and a semantic network."""
    segmenter = SegmenterConfig(model="torchvision:brightness", execution=beside)
    stage, _ = zoo_on_device(
        network(Cells(), "corner", names=("even", "bright")),
        DetectorConfig(model="torchvision:cells", score_threshold=0.05, execution=execution),
        machine(device),
        suppress=SuppressConfig(),
        beside=network(Brightness(), "corner", names=("dark", "middling", "bright"), gives="semantic"),
        segmenter=segmenter,
    )
    return stage


@pytest.mark.parametrize("where", ["upload", "fetch"])
def test_a_device_that_failed_for_good_is_lost_wherever_it_shows(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise RuntimeError(LOST)

    stage = stage_of()
    owner: Any = stage if where == "upload" else Slot
    monkeypatch.setattr(owner, "_uploads" if where == "upload" else "fetched", lost)
    for _ in range(4):  # more often than there are slots
        with pytest.raises(DeviceLost, match="illegal memory access"):
            through([stage], clip())


def test_two_batches_that_ran_out_of_memory_together_halve_what_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of()
    limited(stage, 2, monkeypatch)
    lead, both = stage._networks[0], threading.Barrier(2)
    give_up = lead.give_up

    def together(count: int, error: Exception) -> None:
        both.wait(timeout=60)
        give_up(count, error)

    monkeypatch.setattr(lead, "give_up", together)
    found: list[Batch] = []
    threads = [threading.Thread(target=lambda: found.append(through([stage], clip()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [len(batch.detections or ()) for batch in found] == [4, 4]
    assert stage._largest == 2
    assert len(stage.complaints()) == 2, "each network tells of it once"


def test_a_batch_begun_before_memory_ran_out_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(execution="compile", beside="eager")
    monkeypatch.setattr(stage._detector._buckets, "runner", lambda *_: stage._detector._buckets._module)
    uploads = stage._uploads

    def meanwhile(*given: Any) -> Any:
        for network_ in stage._networks:
            if network_.largest > 2:
                network_.give_up(4, torch.OutOfMemoryError("CUDA out of memory"))
        return uploads(*given)

    monkeypatch.setattr(stage, "_uploads", meanwhile)
    assert len(through([stage], clip()).detections or ()) == 4
    assert stage._largest == 2


def test_each_size_of_either_network_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(execution="compile", beside="eager")
    ready: list[int] = []

    def runner(size: int, _: object) -> Any:
        ready.append(size)
        return stage._detector._buckets._module

    monkeypatch.setattr(stage._detector._buckets, "runner", runner)
    told: list[str] = []
    stage.warm_up(told.append)
    assert sorted(set(ready)) == [1, 2, 4]
    assert [text.partition(" ready")[0] for text in told] == [f"cells+brightness: batches of {n}" for n in (1, 2, 4)]


def test_a_batch_smaller_than_its_bucket_is_the_same_beside_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, plain = stage_of(execution="compile", beside="compile"), stage_of()
    shown: list[tuple[int, torch.Tensor]] = []
    for network_ in stage._networks:
        buckets = network_._buckets

        def runner(size: int, pictures: torch.Tensor, buckets: Buckets = buckets) -> Any:
            shown.append((size, pictures))
            return buckets._module

        monkeypatch.setattr(buckets, "runner", runner)
    for _ in range(2):  # the first may lack room for its runs, and be read twice
        shown.clear()
        through([stage], clip())
    before = [pictures.clone() for _, pictures in shown]
    shown.clear()
    given, wanted = (through([one], clip()[1:]) for one in (stage, plain))
    assert [size for size, _ in shown] == [4, 4]
    for (_, pictures), earlier in zip(shown, before, strict=True):
        assert torch.equal(pictures[3], earlier[3]), "the row that is not needed was written"
        assert not torch.equal(pictures[2], earlier[2])
        assert pictures.is_contiguous(memory_format=torch.channels_last)
    for i in range(3):
        np.testing.assert_array_equal(detections(given)[i].boxes, detections(wanted)[i].boxes)
        np.testing.assert_array_equal(maps(given)[i].ids, maps(wanted)[i].ids)


def test_a_frame_in_which_nothing_is_found_has_no_boxes_and_a_map_of_what_is_left() -> None:
    def black(seq: int, width: int, height: int) -> Frame:
        half = ((height + 1) // 2, (width + 1) // 2)
        planes = (np.zeros((height, width), np.uint8), *(np.full(half, 128, np.uint8) for _ in range(2)))
        return frame(seq, Surface("yuv420p", planes, range="full"))

    found = through([stage_of()], (black(0, 64, 48), clip()[1], black(2, 33, 201)))
    assert [len(one) > 0 for one in detections(found)] == [False, True, False]
    for i in (0, 2):
        table = maps(found)[i].segments
        assert (table.labels.tolist(), table.is_thing.tolist()) == ([2], [False]), "dark, all of it"
        assert (maps(found)[i].ids == 1).all()


def detections(batch: Batch) -> Any:
    assert batch.detections is not None
    return batch.detections


def maps(batch: Batch) -> Any:
    assert batch.panoptic is not None
    return batch.panoptic


def limited(stage: OnDevice, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector's device has memory for so many pictures."""
    look = stage._detector._look

    def small(surfaces: Sequence[DeviceSurface]) -> Any:
        if len(surfaces) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return look(surfaces)

    monkeypatch.setattr(stage._detector, "_look", small)


# On a GPU: EVERYFRAME_REQUIRE=gpu pytest -m gpu


@pytest.mark.gpu
@pytest.mark.parametrize("place", ["host", "device"])
@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_beginning_a_batch_waits_for_nothing_on_a_gpu(execution: str, place: str) -> None:
    """Neither for the networks nor for an upload, also when sources come in an order that was not seen before."""
    device = torch.device(cuda_device().name)
    stage = stage_of(device, execution=execution, beside=execution)
    stage.warm_up(lambda _: None)
    frames = clip() if place == "host" else on(device, clip())
    for _ in range(2):  # once for each slot
        through([stage], frames)
    orders, begun = iter([frames, frames[::-1]]), list[Any]()

    def begin() -> None:
        batch = Batch(next(orders))
        begun.append((batch, stage.begin(batch)))

    without_waiting(begin)
    assert [len(finish(batch).detections) for batch, finish in begun] == [4, 4]
    stage.close()


@pytest.mark.gpu
@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_a_surface_is_read_once_it_is_ready(execution: str) -> None:
    """A network that does not wait for the decoder's stream sees black."""
    device = torch.device(cuda_device().name)
    stage = stage_of(device, execution=execution, beside=execution)
    stage.warm_up(lambda _: None)
    frames = on(device, clip())
    wanted = through([stage], frames).detections
    decoder = torch.cuda.Stream(device)
    given = through([stage], [frame(one.seq, written_late(one.surface, decoder)) for one in frames]).detections
    for ours, theirs in zip(given or (), wanted or (), strict=True):
        assert len(theirs) > 20
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    stage.close()


def written_late(surface: Surface, decoder: torch.cuda.Stream) -> DeviceSurface:
    """The surface once more, black until a stream that is slow has come to it."""
    held = tuple(torch.zeros_like(plane) for plane in surface.planes)
    torch.cuda.synchronize()
    with torch.cuda.stream(decoder):
        torch.cuda._sleep(50_000_000)
        for empty, plane in zip(held, surface.planes, strict=True):
            empty.copy_(plane, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(decoder)
    colours: dict[str, Any] = {"matrix": surface.matrix, "range": surface.range}
    return DeviceSurface(surface.format, held, device=str(held[0].device), ready=ready, **colours)


@pytest.mark.gpu
def test_after_an_error_the_gpu_reads_no_surface_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device(cuda_device().name)
    stage = stage_of(device, execution="eager", beside="eager")
    frames = on(device, clip())
    through([stage], frames)
    streams = [network_._stream for network_ in stage._networks]

    def slow(*_: object) -> Any:
        for stream in streams:
            with torch.cuda.stream(stream):
                torch.cuda._sleep(100_000_000)
        raise ValueError("a reader that fails")

    monkeypatch.setattr(stage, "_reader", slow)
    with pytest.raises(ValueError, match="a reader that fails"):
        through([stage], frames)
    assert all(stream.query() for stream in streams)
    stage.close()
