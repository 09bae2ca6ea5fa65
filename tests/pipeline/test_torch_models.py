"""Torch networks end to end on the CPU: from a name and a file of weights to results, boxes and masks.

The weights are random, so that what is found means nothing; that it flows, and how it is labelled, is what is tested.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.build import build_graph, without_overlaps
from pipeline.cli.app import execute
from pipeline.config import PipelineConfig, SuppressConfig, check, parse
from pipeline.config import pipeline as settings
from pipeline.errors import ConfigError
from pipeline.messages import Batch, Frame, FrameResult, Surface
from stages.together import Together
from tests.stages.models.zoo.tiny import torchvision_network, transformers_folder

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "samples" / "crossing" / "crossing.mp4"
SQUARE = {"size": {"height": 64, "width": 64}}


def config_of(detector: Any, segmenter: Any = None, **more: Any) -> PipelineConfig:
    suppress = {"score_threshold": 0.001, "max_detections": 20}
    values = {"sources": ["a=a.mp4"], "detector": detector, "segmenter": segmenter, "suppress": suppress}
    return check(parse({**values, "publish": {"bind": None}, "device": "cpu", "offline": True, **more}))


def results_of(config: PipelineConfig, count: int = 3) -> tuple[FrameResult, ...]:
    random = np.random.default_rng(1)
    frames = []
    for seq in range(count):
        rgb = random.integers(0, 256, (96, 160, 3), dtype=np.uint8)
        frames.append(Frame("a", 1, seq, seq, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (rgb,))))
    with build_graph(config) as graph:
        graph.warm_up(lambda _: None)
        return graph.run(Batch(tuple(frames)))


def test_the_command_runs_a_torchvision_detector_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first_frames: Callable[[int], Path]
) -> None:
    from torchvision import models

    name = "ssdlite320_mobilenet_v3_large"
    weights = tmp_path / "w.pth"
    torch.save(models.get_model(name, weights=None, weights_backbone=None).state_dict(), weights)
    command = ["run", str(first_frames(6)), "--engine", "inline", "--device", "cpu", "--offline", "-o", str(tmp_path)]
    code = execute([*command, "--detector", f"torchvision:{name}", "--weights", str(weights), "--score", "0.001"])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert f"{name} (320x320): torch f32 on cpu, eager" in told.out + told.err
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len([line for line in lines if "detections" in line]) == 6
    assert name in json.dumps(lines[0])


@pytest.fixture
def first_frames(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a copy of the sample's first frames."""

    def cut(count: int) -> Path:
        import av

        path = tmp_path / "cut.mp4"
        with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
            stream = source.streams.video[0]
            out = target.add_stream_from_template(stream)
            for packet in itertools.islice(source.demux(stream), count):
                packet.stream = out
                target.mux(packet)
        return path

    return cut


@pytest.mark.parametrize("kind", ["d_fine", "rt_detr_v2"])
def test_a_detector_and_a_semantic_network_of_transformers(kind: str, tmp_path: Path) -> None:
    detector = transformers_folder(kind, tmp_path / "det", picture=SQUARE)
    segmenter = transformers_folder("segformer", tmp_path / "seg", picture=SQUARE)
    config = config_of({"model": f"transformers:{detector}", "score_threshold": 0.0}, f"transformers:{segmenter}")
    results = results_of(config)
    for result in results:
        assert 0 < len(result.detections) <= 20
        assert result.detections.boxes.max() <= 160
        # Nothing is suppressed: the best scores are the network's own.
        assert np.array_equal(result.detections.scores, result.detections.raw_scores)
        assert result.panoptic is not None
        assert result.classes.things == ("dog", "road", "person")
        assert (result.model.name, len(result.model.version)) == ("det", 12)


@pytest.mark.parametrize("kind", ["eomt", "oneformer"])
def test_a_panoptic_network_gives_boxes_and_masks_by_itself(kind: str, tmp_path: Path) -> None:
    folder = transformers_folder(kind, tmp_path / "net", picture=SQUARE)
    results = results_of(config_of({"model": f"transformers:{folder}", "score_threshold": 0.0}))
    for result in results:
        assert (result.classes.things, result.classes.stuff) == (("dog", "person"), ("road",))
        assert result.panoptic is not None
    if kind == "oneformer":  # the other's random masks are empty
        assert sum(len(result.panoptic.segments) for result in results if result.panoptic) > 0
    with pytest.raises(ConfigError, match="net gives masks of its own; drop the segmenter"):
        results_of(config_of(f"transformers:{folder}", f"transformers:{folder}"))
    with pytest.raises(ConfigError, match="cannot leave classes out"):
        results_of(config_of({"model": f"transformers:{folder}", "classes": ["dog"]}))


def test_box_masks_are_merged_with_and_without_a_semantic_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    from stages.models.zoo import torchvision_models

    torch.save(torchvision_network("maskrcnn", 64).state_dict(), tmp_path / "w.pth")
    published = models.get_model

    def tiny_or_published(name: str, **settings: Any) -> Any:
        return torchvision_network("maskrcnn", 64) if name.startswith("maskrcnn") else published(name, **settings)

    monkeypatch.setattr(torchvision_models, "make_network", tiny_or_published)
    segmenter = transformers_folder("segformer", tmp_path / "seg", picture=SQUARE)
    detector = {
        "model": "torchvision:maskrcnn_resnet50_fpn",
        "weights": str(tmp_path / "w.pth"),
        "picture_size": [64, 64],
        "class_names": ["dog", "person", "cat", "bus"],
        "score_threshold": 0.0,
    }
    alone = results_of(config_of(detector))
    beside = results_of(config_of(detector, f"transformers:{segmenter}"))
    for one, other in zip(alone, beside, strict=True):
        assert one.panoptic is not None
        assert one.panoptic.ids.shape == (96, 160)
        assert len(one.panoptic.segments) > 0
        assert one.classes.stuff == ()
        assert other.classes.stuff == ("road",)
        assert np.array_equal(one.detections.boxes, other.detections.boxes)
        # Suppressed once inside to choose what gets a mask, once outside: raw scores are still the network's.
        assert (one.detections.scores <= one.detections.raw_scores + 1e-6).all()


def test_networks_of_two_runtimes_or_on_the_wrong_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must both be ONNX files or both torch's"):
        build_graph(config_of("torchvision:fcos_resnet50_fpn", "x.onnx"))
    with pytest.raises(
        ConfigError, match=r"device: 'cuda' is not for everyframe-nano by OpenVINO, which runs on the CPU"
    ):
        build_graph(config_of("everyframe-nano", device="cuda"))
    with pytest.raises(ConfigError, match=r"device: 'cuda' is not for x.onnx by openvino"):
        build_graph(config_of({"model": "x.onnx", "backend": "openvino"}, device="cuda"))
    with pytest.raises(
        ConfigError, match=r"device: .* auto \(a GPU where there is one and the model can\), cpu, cuda \(all"
    ):
        config_of("x.onnx", device="gpu")


def test_a_backend_for_onnx_cannot_run_a_torch_network(tmp_path: Path) -> None:
    folder = transformers_folder("d_fine", tmp_path / "net", picture=SQUARE)
    with pytest.raises(ConfigError, match="openvino cannot run transformers:"):
        build_graph(config_of({"model": f"transformers:{folder}", "backend": "openvino"}))


def test_a_gpu_gets_larger_batches_from_what_can_run_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_model, onnx = "torchvision:fcos_resnet50_fpn", "x.onnx"
    assert config_of(torch_model, device="auto").frames_a_batch == 4
    monkeypatch.setattr(settings, "has_gpu", lambda: True)
    assert config_of(torch_model, device="auto").frames_a_batch == 8
    assert config_of(torch_model, device="cpu").frames_a_batch == 4
    monkeypatch.setattr(settings, "onnxruntime_has_cuda", lambda: False)
    assert config_of(onnx, device="auto").frames_a_batch == 4
    monkeypatch.setattr(settings, "onnxruntime_has_cuda", lambda: True)
    assert config_of(onnx, device="auto").frames_a_batch == 8
    assert config_of("everyframe-nano", device="auto").frames_a_batch == 4
    assert config_of({"model": onnx, "backend": "openvino"}, device="auto").frames_a_batch == 4
    assert config_of(torch_model, device="auto", batch={"max_batch": 2}).frames_a_batch == 2


def test_nothing_is_suppressed_of_what_does_not_overlap() -> None:
    config = without_overlaps(SuppressConfig(max_detections=7))
    assert (config.method, config.iou_threshold, config.max_detections) == ("hard", 1.0, 7)


class Half:
    stateful = False
    needs = frozenset({"frames"})

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.name, self.fails, self.adds = name, fails, frozenset({name})
        self.events: list[str] = []

    def begin(self, batch: Batch) -> Callable[[Batch], Batch]:
        if self.fails:
            raise RuntimeError(f"{self.name} failed")
        self.events.append("begun")

        def finish(given: Batch) -> Batch:
            self.events.append("finished")
            return given

        return finish

    def __call__(self, batch: Batch) -> Batch:
        return self.begin(batch)(batch)


def test_networks_side_by_side_are_all_begun_before_one_is_waited_for() -> None:
    first, second = Half("detections"), Half("semantic")
    second.events = first.events
    together: Any = Together([first, second])  # type: ignore[list-item]
    assert together.adds == {"detections", "semantic"}
    together(Batch(()))
    assert first.events == ["begun", "begun", "finished", "finished"]
    failing: Any = Together([Half("detections"), Half("semantic", fails=True)])  # type: ignore[list-item]
    with pytest.raises(RuntimeError, match="semantic failed"):
        failing(Batch(()))
    assert failing._stages[0].events == ["begun", "finished"], "a network was left with a batch nobody waits for"
