"""The segmentation stage: layouts told from graphs, names of classes, geometry, and what is said of misfits."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import SegmenterConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Batch, Classes, Frame, PanopticMap, Segments, SemanticMap, Surface
from pipeline.stage import Stage
from stages.detect import COCO_CLASSES
from stages.segment import Segment, build_segmenter, join_classes
from stages.segment.labels import CITYSCAPES_CLASSES, TWINLITE_CLASSES, VOC_CLASSES
from stages.segment.layouts import LAYOUTS, twinlite_logits
from tests import networks

SIZE = (64, 96)


def frame(rgb: np.ndarray) -> Frame:
    return Frame("test", 1, 0, 0, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (rgb,)))


def grey(height: int = 48, width: int = 144) -> Frame:
    return frame(np.full((height, width, 3), 114, dtype=np.uint8))


def segmenter(path: Path, **settings: Any) -> Segment:
    return build_segmenter(SegmenterConfig(model=str(path), precision="f32", threads=1, **settings))


def semantic(stage: Segment, *frames: Frame) -> tuple[SemanticMap, ...]:
    found = stage(Batch(frames)).semantic
    assert found is not None
    return found


def scores(classes: int, *, height: int = 16, width: int = 24) -> np.ndarray:
    return np.random.default_rng(classes).normal(size=(1, classes, height, width)).astype(np.float32)


@pytest.mark.parametrize(("classes", "names"), [(21, VOC_CLASSES), (19, CITYSCAPES_CLASSES)])
def test_a_semantic_network_gives_its_scores(classes: int, names: tuple[str, ...], tmp_path: Path) -> None:
    given = scores(classes)
    stage = segmenter(networks.constant(tmp_path / "s.onnx", picture=(1, 3, *SIZE), outputs=[given]))
    assert isinstance(stage, Stage)
    assert stage.class_names == names
    (found,) = semantic(stage, grey())
    assert np.array_equal(found.logits, given[0])
    assert (found.valid_height, found.valid_width) == (16, 24)
    assert found.transform.apply(np.array([[0, 0, 24, 16]], dtype=np.float32))[0] == pytest.approx([0, 0, 144, 48])


def test_a_network_with_channels_last_gives_the_same(tmp_path: Path) -> None:
    given = scores(21)
    turned = np.ascontiguousarray(given.transpose(0, 2, 3, 1))
    stage = segmenter(networks.constant(tmp_path / "s.onnx", picture=(1, *SIZE, 3), outputs=[turned]))
    (found,) = semantic(stage, grey())
    assert np.array_equal(found.logits, given[0])
    assert found.logits.flags.c_contiguous


def test_a_network_of_open_size_gets_the_one_asked_for(tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "s.onnx", picture=(1, 3, "h", "w"), outputs=[scores(21)])
    assert segmenter(path, picture_size=SIZE[::-1]).class_names == VOC_CLASSES
    with pytest.raises(ConfigError, match=r"segmenter\.picture_size: needed, because .*s\.onnx leaves the size"):
        segmenter(path)
    with pytest.raises(ModelError, match=r"takes pictures of 96x64 and none of 64x96"):
        segmenter(
            networks.constant(tmp_path / "f.onnx", picture=(1, 3, *SIZE), outputs=[scores(21)]), picture_size=SIZE
        )


def test_twinlite_is_told_from_its_two_maps(tmp_path: Path) -> None:
    maps = [scores(2, height=64, width=96), scores(2, height=64, width=96)[..., ::-1].copy()]
    stage = segmenter(networks.constant(tmp_path / "t.onnx", picture=(1, 3, *SIZE), outputs=maps))
    assert stage.class_names == TWINLITE_CLASSES
    (found,) = semantic(stage, grey())
    assert found.logits == pytest.approx(twinlite_logits(maps))


def test_the_best_of_twinlites_three_is_what_its_two_maps_say() -> None:
    rng = np.random.default_rng(0)
    drivable, lane = (rng.normal(size=(1, 2, 9, 7)).astype(np.float32) for _ in range(2))
    best = twinlite_logits([drivable, lane]).argmax(axis=0)
    for row in range(9):
        for column in range(7):
            is_lane = lane[0, 1, row, column] > lane[0, 0, row, column]
            is_drivable = drivable[0, 1, row, column] > drivable[0, 0, row, column]
            assert best[row, column] == (2 if is_lane else 1 if is_drivable else 0)


def test_maps_may_be_kept_over_the_next_call(tmp_path: Path) -> None:
    stage = segmenter(networks.constant(tmp_path / "s.onnx", picture=(1, 3, *SIZE), outputs=[scores(21)]))
    first, second = semantic(stage, grey(), grey(96, 288))
    assert not np.shares_memory(first.logits, second.logits)
    assert semantic(stage) == ()


def test_names_may_be_given(tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "s.onnx", picture=(1, 3, *SIZE), outputs=[scores(4)])
    with pytest.raises(ConfigError, match=r"segmenter\.class_names: needed, because the model has 4 classes"):
        segmenter(path)
    with pytest.raises(ConfigError, match=r"segmenter\.class_names: 2 names given; the model has 4 classes"):
        segmenter(path, class_names=["a", "b"])
    assert segmenter(path, class_names=["a", "b", "c", "d"]).class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize("shape", [(1, 3549, 85), (1, 21), (1, 21, 2, 3), (1, 21, 64, 20)])
def test_an_unknown_layout_lists_what_is_there_and_what_is_known(shape: tuple[int, ...], tmp_path: Path) -> None:
    outputs = [np.zeros(shape, dtype=np.float32)]
    path = networks.constant(tmp_path / "x.onnx", picture=(1, 3, *SIZE), outputs=outputs)
    with pytest.raises(ModelError) as caught:
        segmenter(path)
    message = str(caught.value)
    assert f"{path}: the model is of no known layout" in message
    assert f"{list(shape)}" in message
    assert all(f"{name}: " in message for name in LAYOUTS)


def test_a_named_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = networks.constant(tmp_path / "s.onnx", picture=(1, 3, *SIZE), outputs=[scores(21)])
    with pytest.raises(ModelError, match="does not have the layout 'twinlite'"):
        segmenter(path, layout="twinlite")


def test_classes_join_by_name_and_by_cocos_name() -> None:
    classes, labels = join_classes(COCO_CLASSES, VOC_CLASSES)
    assert classes == Classes(COCO_CLASSES)
    named = {
        name: label if label is None else classes.names[label] for name, label in zip(VOC_CLASSES, labels, strict=True)
    }
    assert named["background"] is None
    assert named["tvmonitor"] == "tv"
    assert named["motorbike"] == "motorcycle"
    assert named["aeroplane"] == "airplane"
    assert named["sofa"] == "couch"
    assert named["pottedplant"] == "potted plant"
    assert named["diningtable"] == "dining table"
    assert all(named[name] == name for name in ("person", "car", "bus", "dog"))


def test_what_no_detector_finds_is_stuff() -> None:
    classes, labels = join_classes(("person", "car"), TWINLITE_CLASSES)
    assert classes == Classes(("person", "car"), ("drivable area", "lane line"))
    assert labels == [None, 2, 3]
    assert join_classes(("person",), ()) == (Classes(("person",)), [])


@pytest.mark.parametrize(
    ("weights", "classes"), [("deeplabv3_257_voc", VOC_CLASSES), ("twinlitenet_320_road", TWINLITE_CLASSES)]
)
def test_real_networks_are_known_under_any_name(
    weights: str, classes: tuple[str, ...], shared_data: Path, tmp_path: Path
) -> None:
    path = networks.renamed(shared_data / "weights" / f"{weights}.onnx", tmp_path / "some.onnx")
    assert segmenter(path).class_names == classes


def test_deeplab_finds_the_people_of_the_photographs(shared_data: Path) -> None:
    stage = build_segmenter(SegmenterConfig(model=str(shared_data / "weights" / "deeplabv3_257_voc.onnx"), threads=1))
    truth = json.loads((shared_data / "coco" / "panoptic.json").read_text())
    common = either = 0
    for record in truth["annotations"][:30]:
        people = [segment["id"] for segment in record["segments_info"] if segment["category_id"] == 1]
        photograph = cv2.imread(str(shared_data / "coco" / "images" / f"{record['file_name'][:-4]}.jpg"))
        coded = cv2.imread(str(shared_data / "coco" / "panoptic" / record["file_name"])).astype(np.int64)
        if not people or photograph is None:
            continue
        true = np.isin(coded @ np.array([65536, 256, 1]), people)  # ids are R + 256 G + 65536 B, read as B, G, R
        given = frame(cv2.cvtColor(photograph, cv2.COLOR_BGR2RGB))
        (found,) = semantic(stage, given)
        labels = PanopticMap(found.logits.argmax(0).astype(np.uint16), Segments.empty(), found.transform)
        people_found = labels.at_size(given.width, given.height) == VOC_CLASSES.index("person")
        common += int((people_found & true).sum())
        either += int((people_found | true).sum())
    assert common / either > 0.6
