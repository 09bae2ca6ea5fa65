"""The detection stage: layouts told from graphs, classes, geometry, masks, lanes, and what is said of misfits."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import DetectorConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Batch, Detections, Frame, Surface
from pipeline.stage import Stage
from stages.detect import COCO_CLASSES, LAYOUTS, Detect, build_detector
from stages.detect.layouts import recognise
from stages.models.backend import Port, Signature, open_network
from tests import networks

SIZE = (64, 96)
CELLS = {8: 96, 16: 24, 32: 6, 64: 2}
ALL = CELLS[8] + CELLS[16] + CELLS[32]


def shape_of(*shape: int) -> np.ndarray:
    return np.zeros((1, *shape), dtype=np.float32)


# Outputs that have a layout's shapes, in an order that a name could not tell.
OUTPUTS: dict[str, list[np.ndarray]] = {
    "yolox": [shape_of(ALL, 85)],
    "yolo": [shape_of(84, ALL)],
    "yolo with objectness": [shape_of(3 * ALL, 85)],
    "yolo with four levels": [shape_of(84, ALL + CELLS[64])],
    "nanodet": [shape_of(n, c) for c in (80, 32) for n in (CELLS[8], CELLS[16], CELLS[32])],
    "nanodet in turns": [shape_of(n, c) for n in (CELLS[32], CELLS[16], CELLS[8]) for c in (32, 80)],
    "picodet": [shape_of(n, c) for c in (80, 32) for n in CELLS.values()],
    "fastestdet": [shape_of(85, 4, 6)],
    "ssd": [shape_of(50, 81), shape_of(50, 4)],
    "nano": [shape_of(24, 16, 24), shape_of(ALL, 80), shape_of(10 + 80, 16, 24), shape_of(ALL, 24), shape_of(ALL, 4)],
}


def frame(rgb: np.ndarray) -> Frame:
    return Frame("test", 1, 0, 0, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (rgb,)))


def grey(height: int = 48, width: int = 144) -> Frame:
    return frame(np.full((height, width, 3), 114, dtype=np.uint8))


def detector(path: Path, **settings: Any) -> Detect:
    return build_detector(DetectorConfig(model=str(path), precision="f32", threads=1, **settings))


def detections(stage: Detect, *frames: Frame) -> tuple[Detections, ...]:
    found = stage(Batch(frames)).detections
    assert found is not None
    return found


def yolox_with(path: Path, cells: dict[int, list[float]], classes: int = 80) -> Path:
    """A YOLOX network that finds the same boxes in any picture: {cell: [dx, dy, log w, log h, objectness, label]}."""
    output = shape_of(ALL, 5 + classes)
    for cell, (dx, dy, log_w, log_h, objectness, label) in cells.items():
        output[0, cell, :5] = dx, dy, log_w, log_h, objectness
        output[0, cell, 5 + int(label)] = 1.0
    return networks.constant(path, picture=(1, 3, *SIZE), outputs=[output])


@pytest.mark.parametrize("case", OUTPUTS)
def test_layouts_are_told_from_shapes(case: str, tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "x.onnx", picture=(1, 3, *SIZE), outputs=OUTPUTS[case])
    name, layout = recognise(open_network(path).signature, path=path)
    assert name == case.split()[0]
    assert layout.classes(open_network(path).signature) == 80
    stage = detector(path)
    assert isinstance(stage, Stage)
    assert name in stage.note
    assert len(detections(stage, grey())[0]) == 0


def test_every_layout_has_a_case() -> None:
    assert {case.split()[0] for case in OUTPUTS} == set(LAYOUTS)


@pytest.mark.parametrize(
    ("weights", "layout"),
    [
        ("yolox_nano_416", "yolox"),
        ("picodet_s_416_coco", "picodet"),
        ("nanodet_m_416", "nanodet"),
        ("fastestdet_352", "fastestdet"),
    ],
)
def test_real_detectors_are_known_under_any_name(weights: str, layout: str, shared_data: Path, tmp_path: Path) -> None:
    original = shared_data / "weights" / f"{weights}.onnx"
    path = networks.renamed(original, tmp_path / "some-network.onnx")
    rgb = cv2.cvtColor(cv2.imread(str(shared_data / "coco" / "images" / "000000000036.jpg")), cv2.COLOR_BGR2RGB)
    stage = detector(path)
    assert f"({layout}, " in stage.note
    assert stage.model.name == "some-network"
    assert stage.model.version == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    (found,) = detections(stage, frame(rgb))
    (same,) = detections(detector(original), frame(rgb))
    assert np.array_equal(found.boxes, same.boxes)
    best = found[np.argsort(-found.scores)[:1]]
    assert COCO_CLASSES[best.labels[0]] in ("person", "umbrella")  # a woman under a large umbrella


def test_an_unknown_layout_lists_what_is_there_and_what_is_known(tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "x.onnx", picture=(1, 3, *SIZE), outputs=[shape_of(7, 9, 2)])
    with pytest.raises(ModelError) as caught:
        detector(path)
    message = str(caught.value)
    assert f"{path}: the model is of no known layout" in message
    assert "'any_in' [1, 3, 64, 96]" in message
    assert "'any_out_0' [1, 7, 9, 2]" in message
    assert all(f"{name}: " in message for name in LAYOUTS)
    assert "\n" not in message


def test_a_graph_that_takes_no_picture_is_of_no_layout() -> None:
    for inputs in ((), (Port("x", ()),), (Port("x", (1, 3, 64, 96)), Port("y", (1,)))):
        with pytest.raises(ModelError, match="of no known layout"):
            recognise(Signature(inputs, (Port("out", (1, ALL, 85)),)), path=Path("any.onnx"))


def test_a_named_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "x.onnx", picture=(1, 3, *SIZE), outputs=OUTPUTS["yolox"])
    with pytest.raises(ModelError, match="does not have the layout 'picodet'"):
        detector(path, layout="picodet")
    assert "(yolox, " in detector(path, layout="yolox").note


def test_boxes_come_in_source_pixels_cut_to_the_picture(tmp_path: Path) -> None:
    # Cell 13 of stride 8 is column 1, row 1. The picture of 144x48 fills 96x32 of the network's 96x64: 1.5 pixels each.
    boxes = {13: [1.0, 1.0, np.log(2), np.log(1), 0.9, 2], 0: [0, 0, np.log(4), np.log(4), 0.8, 0]}
    (found,) = detections(detector(yolox_with(tmp_path / "x.onnx", boxes)), grey())
    found = found[np.argsort(-found.scores)]
    assert found.boxes == pytest.approx(np.array([[12.0, 18.0, 36.0, 30.0], [0.0, 0.0, 24.0, 24.0]]), abs=1e-3)
    assert found.scores == pytest.approx([0.9, 0.8])
    assert found.labels.tolist() == [2, 0]


def test_boxes_in_the_padding_are_dropped(tmp_path: Path) -> None:
    boxes = {12 * 6: [0.5, 0.5, 0, 0, 0.9, 2]}  # row 6 of 8: below the picture, which has 4
    (found,) = detections(detector(yolox_with(tmp_path / "x.onnx", boxes)), grey())
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_a_network_that_gives_infinities_is_refused(tmp_path: Path) -> None:
    path = yolox_with(tmp_path / "x.onnx", {13: [1.0, 1.0, -np.inf, 0, 0.9, 2]})
    with pytest.raises(ModelError, match="not finite for a grey picture"):
        detector(path)


def test_the_threshold_is_the_models_own_or_the_one_given(tmp_path: Path) -> None:
    path = yolox_with(tmp_path / "x.onnx", {1: [0, 0, 0, 0, 0.5, 2], 2: [0, 0, 0, 0, 0.05, 2]})
    assert len(detections(detector(path), grey())[0]) == 1
    assert len(detections(detector(path, score_threshold=0.01), grey())[0]) == 2
    assert len(detections(detector(path, score_threshold=0.6), grey())[0]) == 0


def test_only_chosen_classes_are_kept(tmp_path: Path) -> None:
    path = yolox_with(tmp_path / "x.onnx", {1: [0, 0, 0, 0, 0.5, 2], 2: [0, 0, 0, 0, 0.6, 0]})
    stage = detector(path, classes=["person", "bus"])
    (found,) = detections(stage, grey())
    assert found.labels.tolist() == [0]
    assert stage.classes.things == COCO_CLASSES  # labels mean the same whatever is kept


def test_an_unknown_class_names_close_ones(tmp_path: Path) -> None:
    path = yolox_with(tmp_path / "x.onnx", {})
    with pytest.raises(
        ConfigError, match=r"detector\.classes: 'persn' is not a class of the model; did you mean 'pers"
    ):
        detector(path, classes=["persn"])
    with pytest.raises(ConfigError, match=r"detector\.classes: 'qqqq' is not a class.*the model knows person, bicycle"):
        detector(path, classes=["qqqq"])


def test_classes_of_a_foreign_detector_must_be_named(tmp_path: Path) -> None:
    path = yolox_with(tmp_path / "x.onnx", {1: [0, 0, 0, 0, 0.5, 2]}, classes=3)
    with pytest.raises(ConfigError, match=r"detector\.class_names: needed, because the model scores 3 classes"):
        detector(path)
    with pytest.raises(ConfigError, match=r"detector\.class_names: 2 names given; the model scores 3 classes"):
        detector(path, class_names=["a", "b"])
    assert detector(path, class_names=["a", "b", "c"]).classes.things == ("a", "b", "c")


def test_the_picture_given_is_not_changed_and_the_batch_keeps_its_order(tmp_path: Path) -> None:
    stage = detector(yolox_with(tmp_path / "x.onnx", {13: [1, 1, 0, 0, 0.9, 2]}))
    small, large = grey(24, 72), grey(96, 288)
    batch = Batch((small, large, small))
    result = stage(batch)
    assert batch.detections is None
    assert result.detections is not None
    widths = [float(one.boxes[0, 2] - one.boxes[0, 0]) for one in result.detections]
    assert widths == pytest.approx([6.0, 24.0, 6.0])
    assert stage(Batch(())).detections == ()


def nano_file(folder: Path, *, card: dict[str, Any] | None = None) -> Path:
    """A network with nano's outputs: one car in cell 5, prototype 3 high, stuff class 7 everywhere."""
    boxes, scores, coefficients = shape_of(ALL, 4), shape_of(ALL, 5), shape_of(ALL, 24)
    prototypes, semantic = shape_of(24, 16, 24), shape_of(10, 16, 24)
    boxes[0, 5], scores[0, 5, 2], coefficients[0, 5, 3] = (8, 8, 24, 16), 0.9, 2.0
    prototypes[0, 3], semantic[0, 7] = 1.5, 4.0
    outputs = [boxes, scores, coefficients, prototypes, semantic]
    path = networks.constant(folder / "n.onnx", picture=(1, 3, *SIZE), outputs=outputs)
    values = {
        "things": ["person", "bicycle", "car", "bus", "truck"],
        "stuff": ["road", "pavement", "building", "sky", "vegetation"],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps({**values, **(card or {})}))
    return path


def test_nano_adds_masks_and_their_geometry(tmp_path: Path) -> None:
    stage = detector(nano_file(tmp_path))
    assert stage.adds == {"detections", "prototypes", "semantic"}
    assert stage.classes.names[2:7] == ("car", "bus", "truck", "road", "pavement")
    batch = stage(Batch((grey(), grey())))
    assert batch.detections is not None and batch.prototypes is not None and batch.semantic is not None  # noqa: PT018
    (found, _), (masks, _), (semantic, _) = batch.detections, batch.prototypes, batch.semantic
    assert found.boxes == pytest.approx(np.array([[12.0, 12.0, 36.0, 24.0]]))
    assert found.coefficients is not None
    assert found.coefficients[0, 3] == 2.0
    assert masks.masks.shape == (24, 16, 24)
    assert (masks.masks[3] == 1.5).all()
    assert (semantic.logits.argmax(0) == 7).all()
    for each in (masks, semantic):
        assert (each.valid_height, each.valid_width) == (8, 24)
        corner = np.array([[0, 0, each.valid_width, each.valid_height]], dtype=np.float32)
        assert each.transform.apply(corner)[0] == pytest.approx([0, 0, 144, 48])


def test_masks_may_be_kept_over_the_next_call(tmp_path: Path) -> None:
    stage = detector(nano_file(tmp_path))
    first = stage(Batch((grey(),)))
    second = stage(Batch((grey(),)))
    assert first.prototypes is not None and second.prototypes is not None  # noqa: PT018
    assert not np.shares_memory(first.prototypes[0].masks, second.prototypes[0].masks)


def test_a_damaged_model_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"SHA-256 is .* its card says 00; the file is damaged, install it again"):
        detector(nano_file(tmp_path, card={"sha256": "00"}))


def test_a_card_of_several_files_knows_each(tmp_path: Path) -> None:
    sums = {"n.onnx": hashlib.sha256(nano_file(tmp_path).read_bytes()).hexdigest(), "n.xml": "00"}
    assert detector(nano_file(tmp_path, card={"sha256": "00", "files": sums})).classes.things[2] == "car"
    with pytest.raises(ModelError, match="its card says 00"):
        detector(nano_file(tmp_path, card={"files": {"n.onnx": "00"}}))


def test_an_int8_file_that_the_package_is_without_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stages.detect.build.WEIGHTS", tmp_path)
    with pytest.raises(ModelError) as caught:
        detector(Path("everyframe-nano-int8"))
    assert "'everyframe-nano-int8' is not in this package; 'everyframe-nano' is" in str(caught.value)
    assert "everyframe export everyframe-nano --format int8" in str(caught.value)


@pytest.mark.parametrize("model", ["everyframe-nano-int8", "own.xml"])
def test_openvino_s_own_files_are_not_for_onnxruntime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str
) -> None:
    (tmp_path / "everyframe-nano-int8.xml").write_text("<net/>")
    monkeypatch.setattr("stages.detect.build.WEIGHTS", tmp_path)
    with pytest.raises(ConfigError, match=f"onnxruntime cannot run {model}, which is OpenVINO's"):
        build_detector(DetectorConfig(model=model, backend="onnxruntime"))


@pytest.mark.parametrize(
    "card",
    ['{"sha256": "00"}', '{"things": "person", "stuff": [], "sha256": "00"}', '{"things": ' + "[" * 5000, "\xff"],
)
def test_a_card_without_classes_is_refused(tmp_path: Path, card: str) -> None:
    path = nano_file(tmp_path)
    path.with_suffix(".json").write_text(card, encoding="latin-1")
    with pytest.raises(ModelError, match="not a model card; 'things', 'stuff' and 'sha256' are needed"):
        detector(path)


def test_lanes_side_by_side_give_the_bytes_of_one(shared_data: Path) -> None:
    path = shared_data / "weights" / "yolox_nano_416.onnx"
    rng = np.random.default_rng(0)
    photographs = sorted((shared_data / "coco" / "images").glob("*.jpg"))[:4]
    frames = [frame(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)) for photo in photographs]
    order = rng.integers(0, len(frames), 24)
    with_one = build_detector(DetectorConfig(model=str(path), threads=1), lanes=1)
    alone = [detections(with_one, one)[0] for one in frames]
    with_two = build_detector(DetectorConfig(model=str(path)), lanes=2)
    with ThreadPoolExecutor(2) as lanes:
        together = list(lanes.map(lambda i: detections(with_two, frames[i])[0], order))
    assert sum(map(len, alone)) > 10
    for i, found in zip(order, together, strict=True):
        assert found.boxes.tobytes() == alone[i].boxes.tobytes()
        assert found.scores.tobytes() == alone[i].scores.tobytes()


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ModelError, match=r"no-such\.onnx: no such model file"):
        detector(Path("no-such.onnx"))


def test_the_file_may_have_any_name(shared_data: Path, tmp_path: Path) -> None:
    path = shutil.copy(shared_data / "weights" / "fastestdet_352.onnx", tmp_path / "network.bin.onnx")
    assert "(fastestdet, 352x352)" in detector(Path(path)).note
