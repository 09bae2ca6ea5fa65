"""INT8 is calibrated, judged on other frames, and refused where it costs too much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import DetectorConfig
from pipeline.errors import ModelError
from stages.detect import build_detector
from stages.models.backend import open_network
from stages.models.exporting import int8
from stages.models.exporting.deployed import Deployed, outputs_of
from stages.models.exporting.export import ExportPlan, export
from stages.models.exporting.folding import folded
from stages.models.exporting.formats import Made
from stages.models.exporting.frames import as_input
from stages.models.exporting.int8 import Judged, Trial, by_agreement, make_int8
from stages.models.exporting.onnx_graph import onnx_model
from tests.stages.models.exporting.tiny import CLASSES, HEIGHT, SMALL, WIDTH, frames, lively, trained

pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
nncf = pytest.importorskip("nncf", reason="needs nncf, of the int8 extra")


ENDS = ("Convolution", "GroupConvolution", "ShapeOf")  # where what makes boxes begins


def plan(folder: Path, **changes: Any) -> ExportPlan:
    made = ExportPlan(folder=folder, name="small", formats=("int8",), width=WIDTH, height=HEIGHT, max_drop=1.0)
    return replace(made, **changes)


class Falling:
    """A judge whose verdicts are known beforehand."""

    def __init__(self, *drops: float) -> None:
        self.drops = list(drops)
        self.quantized: list[Mapping[str, int]] = []

    def __call__(self, trial: Trial, file: Made) -> Judged:
        operations = open_network(file.main)._model.get_ops()  # type: ignore[attr-defined]
        kinds = [node.get_type_name() for node in operations]
        self.quantized.append({kind: kinds.count(kind) for kind in ("FakeQuantize", "Convolution")})
        return Judged(drop=self.drops.pop(0), told="AP50 0.50 -> 0.40 on made-up pictures")


def test_an_int8_file_is_a_detector_with_a_card_of_its_own(tmp_path: Path) -> None:
    (one,) = export(trained(), plan(tmp_path), frames(calibration=12))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small-int8.bin",
        "small-int8.json",
        "small-int8.xml",
    ]
    assert one.judged is not None
    assert one.judged.figures["detections"] > 0
    card = json.loads((tmp_path / "small-int8.json").read_text())
    assert card["name"] == "small-int8"
    assert card["checked"]["small-int8.xml"]["int8"]["drop"] == one.judged.drop
    detector = build_detector(DetectorConfig(model=str(one.path)))
    assert detector.classes == CLASSES
    detector.close()
    with (tmp_path / "small-int8.bin").open("r+b") as file:
        file.write(b"\xff" * 8)
    with pytest.raises(ModelError, match="the file is damaged"):
        build_detector(DetectorConfig(model=str(one.path)))


@pytest.mark.parametrize("bins", [0, 8])
def test_boxes_are_not_cut_into_256_steps(tmp_path: Path, bins: int) -> None:
    """Between the last convolutions, with their biases, and the boxes nothing is rounded to 8 bits."""
    small = replace(trained(), network=lively(replace(SMALL, bins=bins)))
    counts = []
    for any_size in (False, True):
        (one,) = export(small, plan(tmp_path, any_size=any_size), frames(checked=1, calibration=10))
        model = open_network(one.path)._model  # type: ignore[attr-defined]
        kinds = [node.get_type_name() for node in model.get_ops()]
        counts.append(kinds.count("FakeQuantize"))
        waiting, seen = [model.output("boxes").get_node()], set()
        while waiting:
            node = waiting.pop()
            if node.get_friendly_name() in seen or node.get_type_name() in ENDS:
                continue
            seen.add(node.get_friendly_name())
            assert node.get_type_name() != "FakeQuantize"
            waiting += [value.get_node() for value in node.input_values()]
        assert len(seen) > 10
    assert counts[0] == counts[1] > 10


def test_what_costs_too_much_is_tried_more_carefully_and_then_refused_with_all_files(tmp_path: Path) -> None:
    judge = Falling(0.30, 0.08, 0.1)
    both = plan(tmp_path / "new", formats=("onnx", "int8"), max_drop=0.05)
    with pytest.raises(ModelError) as caught:
        export(trained(), both, frames(calibration=12), judge=judge)
    told = str(caught.value)
    assert told.startswith("INT8 costs 0.0800 and --max-drop allows 0.05: AP50 0.50 -> 0.40 on made-up pictures")
    assert "with the last layer before each output in float; nothing was written" in told
    assert "(12 were used)" in told
    assert not (tmp_path / "new").exists()
    counts = [each["FakeQuantize"] for each in judge.quantized]
    assert counts[0] > counts[1] > counts[2], "each way leaves more in float"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "float32.onnx"
    light = Deployed(folded(lively())).eval()
    path.write_bytes(onnx_model(light, width=WIDTH, height=HEIGHT, half=False).SerializeToString())
    return path


def trial(whole: Path) -> Trial:
    used = frames(calibration=12)
    deployed = Deployed(lively()).eval()
    reference = [outputs_of(deployed, as_input(picture)) for picture in used.checked]
    return Trial(whole=whole, card={}, frames=used, reference=reference)


def test_the_first_way_that_costs_little_enough_is_taken(whole: Path, tmp_path: Path) -> None:
    judge = Falling(0.30, 0.02)
    file, judged = make_int8(trial(whole), tmp_path / "small", judge=judge, max_drop=0.05)
    assert (judged.drop, judged.floats) == (0.02, "the last layer before each output")
    assert file.main.name == "small-int8.xml"
    assert not judge.drops


def test_calibration_has_the_frames_meant_for_it(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def spy(path: Path, pictures: Any, *, output: Path, **_: Any) -> Path:
        given.extend(id(picture) for picture in pictures)
        for suffix in (".xml", ".bin"):
            output.with_suffix(suffix).write_bytes(b"made")
        return output

    monkeypatch.setattr(int8, "quantize", spy)
    tried = trial(whole)
    make_int8(tried, tmp_path / "small", judge=lambda *_: Judged(drop=0.0, told=""), max_drop=0.0)
    assert given == [id(picture) for picture in tried.frames.calibration]
    assert not set(given) & {id(picture) for picture in tried.frames.checked}


def test_without_labels_what_the_float_network_finds_is_the_truth(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = trial(whole)
    answers = iter(tried.reference)
    monkeypatch.setattr(int8, "OpenVinoFile", lambda _: lambda _: next(answers))
    assert by_agreement(tried, Made("int8", (whole,))).drop == 0.0
    lost = [outputs | {"scores": outputs["scores"] * 0} for outputs in tried.reference]
    answers = iter([*tried.reference[:1], *lost[1:]])
    judged = by_agreement(tried, Made("int8", (whole,)))
    assert 0.3 < judged.drop < 1.0
    assert f"of {judged.figures['detections']:.0f} detections are the float network's on noise" in judged.told


def test_where_nothing_is_found_nothing_is_judged(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = trial(whole)
    nothing = [outputs | {"scores": outputs["scores"] * 0} for outputs in tried.reference]
    answers = iter(nothing)
    monkeypatch.setattr(int8, "OpenVinoFile", lambda _: lambda _: next(answers))
    with pytest.raises(ModelError, match=r"INT8 cannot be judged: the network finds nothing above 0\.3 on noise"):
        by_agreement(replace(tried, reference=nothing), Made("int8", (whole,)))
