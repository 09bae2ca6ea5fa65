"""One stage on a device gives what the stages on the host give, to the bit where both prepare the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import build
from pipeline.config import PipelineConfig, check, parse
from pipeline.errors import ModelError
from pipeline.graph import Graph
from pipeline.messages import Batch, Detections, DeviceSurface, Frame, PanopticMap, Surface
from stages.detect.zoo import torch_detector
from stages.models.devices import Device
from stages.models.zoo.run import Machine
from stages.on_device import OnDevice
from stages.segment.zoo import torch_segmenter
from tests.gpu import cuda_device
from tests.stages.models.zoo.tiny import torchvision_network, transformers_folder

SQUARE = {"size": {"height": 64, "width": 64}}
CPU = Device("cpu", "for a test")
SIZES = ((64, 64), (128, 64), (64, 128), (128, 128))  # width, height


def grey(seed: int, width: int, height: int, *, like: Any = np.asarray) -> tuple[Any, ...]:
    """Planes of a picture in blocks of 2 x 2 without colour: whoever halves or converts it rounds nothing."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 2, width // 2), dtype=np.uint8)
    luma = small.repeat(2, 0).repeat(2, 1)
    return like(luma), like(np.full((height // 2, width // 2, 2), 128, np.uint8))


def frame(seq: int, surface: Surface) -> Frame:
    return Frame("a", 1, seq, seq, Fraction(1, 25), 0, "host", 0, surface)


def frames_of(sizes: Sequence[tuple[int, int]], *, device: str | None = None) -> tuple[Frame, ...]:
    """Frames on the host, or on a device."""
    made = []
    for seq, (width, height) in enumerate(sizes):
        if device is None:
            surface: Surface = Surface("nv12", grey(seq, width, height), range="full")
        else:
            planes = grey(seq, width, height, like=lambda plane: torch.from_numpy(plane).to(device))
            surface = DeviceSurface("nv12", planes, range="full", device=device)
        made.append(frame(seq, surface))
    return tuple(made)


def config_of(detector: Any, segmenter: Any = None, **suppress: Any) -> PipelineConfig:
    settings = {"score_threshold": 0.001, "max_detections": 20, **suppress}
    values = {"sources": ["a=a.mp4"], "detector": detector, "segmenter": segmenter, "suppress": settings}
    more = {"publish": {"bind": None}, "device": "cpu", "offline": True, "batch": {"max_batch": 4}}
    return check(parse({**values, **more}))


def graph_of(config: PipelineConfig, chain: Any, device: Device = CPU) -> Graph:
    machine = Machine(device=device, lanes=1, largest=4, offline=True)
    model = torch_detector(config.detector_config, machine, config.suppress)
    beside = None if config.segmenter_config is None else torch_segmenter(config.segmenter_config, machine)
    built = chain(config, model, beside, machine)
    return Graph(built.stages, classes=built.classes, model=built.model, notes=built.notes)


def found_by(graph: Graph, frames: Sequence[Frame]) -> Batch:
    batch = Batch(tuple(frames))
    for stage in graph.stages:
        batch = stage(batch)
    return batch


def check_boxes(ours: Detections, theirs: Detections, *, atol: float = 1e-4) -> None:
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=atol * 100)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=atol)
    np.testing.assert_allclose(ours.raw_scores, theirs.raw_scores, atol=atol)


def check_most(ours: Detections, theirs: Detections) -> None:
    """All but one or two of the boxes are there, in whatever order."""
    assert len(ours) == len(theirs)
    near = (np.abs(ours.boxes[:, None] - theirs.boxes[None]) < 0.2).all(2)
    near &= np.abs(ours.scores[:, None] - theirs.scores[None]) < 2e-3
    near &= ours.labels[:, None] == theirs.labels[None]
    assert near.any(1).mean() > 0.8


def check_maps(ours: PanopticMap, theirs: PanopticMap) -> None:
    assert (ours.ids == theirs.ids).mean() > 0.999, "but for what rounds the other way, maps are the same"
    for column in ("ids", "labels", "is_thing", "detection_index"):
        np.testing.assert_array_equal(getattr(ours.segments, column), getattr(theirs.segments, column))
    np.testing.assert_allclose(ours.segments.scores, theirs.segments.scores, atol=1e-4)
    assert ours.transform == theirs.transform


def detr(folder: Path) -> Any:
    return {
        "model": f"transformers:{transformers_folder('rt_detr_v2', folder, picture=SQUARE)}",
        "score_threshold": 0.0,
    }


def ssd(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "ssd") -> Any:
    """A tiny network under the name of a published one."""
    from stages.models.zoo import torchvision_models

    name = {"ssd": "ssd300_vgg16", "maskrcnn": "maskrcnn_resnet50_fpn"}[kind]
    torch.save(torchvision_network(kind, 64).state_dict(), folder / "w.pth")
    monkeypatch.setattr(torchvision_models, "make_network", lambda *_, **__: torchvision_network(kind, 64))
    return {
        "model": f"torchvision:{name}",
        "weights": str(folder / "w.pth"),
        "picture_size": [64, 64],
        "class_names": ["dog", "person", "cat", "bus"],
        "score_threshold": 0.0,
    }


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("method", ["soft-gaussian", "hard"])
def test_boxes_are_those_of_the_host(
    device: str | None, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(ssd(tmp_path, monkeypatch), method=method, max_detections=30)
    ours, theirs = graph_of(config, build._device_chain), graph_of(config, build._host_chain)
    given = found_by(ours, frames_of(SIZES, device=device)).detections
    wanted = found_by(theirs, frames_of(SIZES)).detections
    assert given is not None
    assert wanted is not None
    assert sum(map(len, wanted)) > 20
    for one, other in zip(given, wanted, strict=True):
        check_boxes(one, other)


def test_a_detector_that_finds_each_object_once(tmp_path: Path) -> None:
    config = config_of(detr(tmp_path / "det"))
    given = found_by(graph_of(config, build._device_chain), frames_of(SIZES)).detections
    wanted = found_by(graph_of(config, build._host_chain), frames_of(SIZES)).detections
    for one, other in zip(given or (), wanted or (), strict=True):
        assert len(one) > 0
        check_boxes(one, other)


def test_labels_that_are_not_asked_for_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(ssd(tmp_path, monkeypatch) | {"classes": ["cat", "bus"]})
    found = found_by(graph_of(config, build._device_chain), frames_of(SIZES[:1])).detections
    assert found is not None
    assert set(found[0].labels.tolist()) <= {2, 3}
    assert len(found[0]) > 0


@pytest.mark.parametrize("beside", [False, True])
def test_masks_of_boxes_are_merged_as_on_the_host(
    beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = f"transformers:{transformers_folder('segformer', tmp_path / 'seg', picture=SQUARE)}" if beside else None
    config = config_of(ssd(tmp_path, monkeypatch, "maskrcnn"), segmenter, score_threshold=0.3)
    given = found_by(graph_of(config, build._device_chain), frames_of(SIZES))
    wanted = found_by(graph_of(config, build._host_chain), frames_of(SIZES))
    assert sum(len(one.segments) for one in wanted.panoptic or () if one is not None) > 4
    for i in range(len(SIZES)):
        assert given.detections is not None
        assert wanted.detections is not None
        check_boxes(given.detections[i], wanted.detections[i])
        check_both_maps(given, wanted, i)


def check_both_maps(given: Batch, wanted: Batch, i: int) -> None:
    assert given.panoptic is not None
    assert wanted.panoptic is not None
    one, other = given.panoptic[i], wanted.panoptic[i]
    assert one is not None
    assert other is not None
    check_maps(one, other)


def test_boxes_beside_a_semantic_network_are_merged_as_on_the_host(tmp_path: Path) -> None:
    segmenter = f"transformers:{transformers_folder('segformer', tmp_path / 'seg', picture=SQUARE)}"
    config = config_of(detr(tmp_path / "det"), segmenter)
    given = found_by(graph_of(config, build._device_chain), frames_of(SIZES))
    wanted = found_by(graph_of(config, build._host_chain), frames_of(SIZES))
    for i in range(len(SIZES)):
        check_both_maps(given, wanted, i)


@pytest.mark.parametrize("kind", ["eomt", "oneformer", "mask2former"])
def test_queries_are_merged_as_on_the_host(kind: str, tmp_path: Path) -> None:
    folder = transformers_folder(kind, tmp_path / "net", picture=SQUARE)
    config = config_of({"model": f"transformers:{folder}", "score_threshold": 0.0})
    given = found_by(graph_of(config, build._device_chain), frames_of(SIZES))
    wanted = found_by(graph_of(config, build._host_chain), frames_of(SIZES))
    for i in range(len(SIZES)):
        check_both_maps(given, wanted, i)
        assert given.detections is not None
        assert wanted.detections is not None
        check_boxes(given.detections[i], wanted.detections[i])


def test_host_and_device_surfaces_go_together_and_larger_batches_in_parts(tmp_path: Path) -> None:
    graph = graph_of(config_of(detr(tmp_path / "det")), build._device_chain)
    sizes = SIZES * 3
    here, there = frames_of(sizes), frames_of(sizes, device="cpu")
    mixed = tuple(a if i % 2 else b for i, (a, b) in enumerate(zip(here, there, strict=True)))
    whole = found_by(graph, mixed).detections
    assert whole is not None
    assert len(whole) == 12
    for i, one in enumerate(mixed):
        alone = found_by(graph, [one]).detections
        assert alone is not None
        check_boxes(whole[i], alone[0])
    assert found_by(graph, ()).detections == ()


def test_a_map_with_more_runs_than_room_is_read_again(tmp_path: Path) -> None:
    folder = transformers_folder("oneformer", tmp_path / "net", picture=SQUARE)
    config = config_of({"model": f"transformers:{folder}", "score_threshold": 0.0})
    graph = graph_of(config, build._device_chain)
    wanted = found_by(graph, frames_of(SIZES))
    (stage,) = graph.stages
    assert isinstance(stage, OnDevice)
    reader: Any = stage._reader
    reader._maps._runs_a_row = 1
    given = found_by(graph, frames_of(SIZES))
    assert reader._maps._runs_a_row > 1
    for i in range(len(SIZES)):
        check_both_maps(given, wanted, i)


def test_what_memory_is_too_small_for_goes_in_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(config_of(detr(tmp_path / "det")), build._device_chain)
    (stage,) = graph.stages
    assert isinstance(stage, OnDevice)
    network = stage._detector
    wanted = found_by(graph, frames_of(SIZES)).detections
    look, most = network._look, 2

    def small(surfaces: Sequence[DeviceSurface]) -> Any:
        if len(surfaces) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return look(surfaces)

    monkeypatch.setattr(network, "_look", small)
    given = found_by(graph, frames_of(SIZES)).detections
    assert network.largest == 2
    assert "from here on 2" in graph.complaints()[0]
    for one, other in zip(given or (), wanted or (), strict=True):
        check_boxes(one, other)
    most = 0
    with pytest.raises(ModelError, match="too little memory for a single picture"):
        found_by(graph, frames_of(SIZES))
    most = 2
    assert len(found_by(graph, frames_of(SIZES[:1])).detections or ()) == 1, "every slot was given back"


def test_a_network_that_fails_costs_its_batch_and_no_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(config_of(detr(tmp_path / "det")), build._device_chain)
    (stage,) = graph.stages
    assert isinstance(stage, OnDevice)
    look = stage._detector._look

    def fail(_: Sequence[DeviceSurface]) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    for _ in range(5):
        monkeypatch.setattr(stage._detector, "_look", fail)
        with pytest.raises(ModelError, match="mat1 and mat2"):
            found_by(graph, frames_of(SIZES))
    monkeypatch.setattr(stage._detector, "_look", look)
    assert len(found_by(graph, frames_of(SIZES)).detections or ()) == 4


def test_warming_up_tells_of_each_size_and_the_note_of_the_path(tmp_path: Path) -> None:
    config, told = config_of(detr(tmp_path / "det") | {"execution": "eager"}), list[str]()
    graph = graph_of(config, build._device_chain)
    graph.warm_up(told.append)
    assert told[0].startswith("det: batches of 1 ready (1 of 1")
    assert any("pictures stay on the device" in note for note in graph.notes)
    graph.close()
    with pytest.raises(ModelError, match="was closed"):
        found_by(graph, frames_of(SIZES))


# On a GPU: EVERYFRAME_REQUIRE=gpu pytest -m gpu


@pytest.mark.gpu
@pytest.mark.parametrize("execution", ["eager", "auto"])
@pytest.mark.parametrize("place", ["host", "device"])
def test_a_gpu_finds_what_the_host_finds(execution: str, place: str, tmp_path: Path) -> None:
    """Networks that were not trained give several candidates, and classes, almost one score: either may win."""
    device = cuda_device()
    segmenter = f"transformers:{transformers_folder('segformer', tmp_path / 'seg', picture=SQUARE)}"
    settings = {"precision": "f32", "execution": execution}
    both = config_of(detr(tmp_path / "det") | settings, {"model": segmenter, **settings})
    panoptic = transformers_folder("oneformer", tmp_path / "net", picture=SQUARE)
    alone = config_of({"model": f"transformers:{panoptic}", "score_threshold": 0.0, **settings})
    for config in (both, alone):
        graph = graph_of(config, build._device_chain, device)
        graph.warm_up(lambda _: None)
        wanted = found_by(graph_of(config, build._host_chain), frames_of(SIZES))
        for _ in range(3):
            given = found_by(graph, frames_of(SIZES, device=None if place == "host" else device.name))
            for i in range(len(SIZES)):
                assert given.detections is not None
                assert wanted.detections is not None
                if config is both:
                    check_most(given.detections[i], wanted.detections[i])
                assert given.panoptic is not None
                assert wanted.panoptic is not None
                one, other = given.panoptic[i], wanted.panoptic[i]
                assert one is not None
                assert other is not None
                assert one.ids.shape == other.ids.shape
                if config is both:
                    assert (one.ids == other.ids).mean() > 0.98
        graph.close()


@pytest.mark.gpu
def test_batches_begun_one_after_another_keep_their_findings(tmp_path: Path) -> None:
    """The outputs of a captured graph are overwritten by the next batch, which must wait for who reads them."""
    device = cuda_device()
    segmenter = f"transformers:{transformers_folder('segformer', tmp_path / 'seg', picture=SQUARE)}"
    config = config_of(detr(tmp_path / "det"), segmenter)
    graph = graph_of(config, build._device_chain, device)
    graph.warm_up(lambda _: None)
    (stage,) = graph.stages
    assert isinstance(stage, OnDevice)
    frames = frames_of(SIZES, device=device.name)
    alone = [found_by(graph, [one]) for one in frames]
    for _ in range(20):
        for first in range(0, 4, 2):  # no more than there are slots
            batches = [Batch((one,)) for one in frames[first : first + 2]]
            begun = [stage.begin(batch) for batch in batches]
            for i, (finish, batch) in enumerate(zip(begun, batches, strict=True), first):
                done = finish(batch)
                assert done.detections is not None
                assert alone[i].detections is not None
                check_boxes(done.detections[0], (alone[i].detections or ())[0])
                check_both_maps(done, alone[i], 0)


@pytest.mark.gpu
def test_a_surface_that_comes_late_is_waited_for_on_the_device(tmp_path: Path) -> None:
    device = cuda_device()
    graph = graph_of(config_of(detr(tmp_path / "det")), build._device_chain, device)
    graph.warm_up(lambda _: None)
    wanted = found_by(graph, frames_of(SIZES[:1], device=device.name)).detections
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)  # whoever does not wait sees zeros
        planes = tuple(torch.zeros_like(plane) for plane in grey(0, *SIZES[0], like=torch.from_numpy))
        there = tuple(plane.to(device.name) for plane in planes)
        for plane, real in zip(there, grey(0, *SIZES[0], like=torch.from_numpy), strict=True):
            plane.copy_(real, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record(stream)
    late = DeviceSurface("nv12", there, range="full", device=device.name, ready=ready)
    given = found_by(graph, [frame(0, late)]).detections
    check_boxes((given or ())[0], (wanted or ())[0])
