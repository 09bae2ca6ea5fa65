"""The weights in the package are those of their card, and give an answer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import DetectorConfig
from stages.detect import build_detector
from stages.models.backend import checksum, files_of

WEIGHTS = Path(__file__).resolve().parents[3] / "stages" / "models" / "weights" / "everyframe-nano.onnx"


@pytest.fixture(scope="module")
def card() -> dict[str, object]:
    values = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def test_checksum_matches_the_card(card: dict[str, object]) -> None:
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == card["sha256"]


def test_the_file_tells_nothing_of_where_it_was_made() -> None:
    data = WEIGHTS.read_bytes()
    assert not [word for word in (b"site-packages", b'File "/', b"stack_trace", b"/home/") if word in data]


def test_the_file_and_the_network_stay_small(card: dict[str, object]) -> None:
    assert WEIGHTS.stat().st_size < 4_000_000
    assert isinstance(card["parameters"], int)
    assert card["parameters"] < 2_000_000


def test_the_card_names_the_embedded_classes_and_tells_no_place(card: dict[str, object]) -> None:
    from stages.models.labelled.embedded import STUFF, THINGS

    assert (card["things"], card["stuff"]) == (list(THINGS), list(STUFF))
    for path in WEIGHTS.parent.glob("everyframe-nano*.json"):
        assert '"/' not in path.read_text(encoding="utf-8")
        assert " /" not in path.read_text(encoding="utf-8")


def test_openvino_gives_finite_outputs_of_the_promised_shapes(card: dict[str, object]) -> None:
    pytest.importorskip("openvino", reason="needs openvino")
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    from stages.models.exporting.running import run_openvino

    height, width = int(str(card["input_height"])), int(str(card["input_width"]))
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 3, height, width)).astype(np.float32)
    outputs = run_openvino(WEIGHTS, pictures)
    anchors = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
    shapes = {name: array.shape for name, array in outputs.items()}
    assert shapes["boxes"] == (2, anchors, 4)
    assert shapes["scores"] == (2, anchors, len(card["things"]))
    assert shapes["coefficients"][:2] == (2, anchors)
    assert shapes["prototypes"] == (2, shapes["coefficients"][2], height // 4, width // 4)
    assert shapes["semantic"] == (2, len(card["things"] + card["stuff"]), height // 4, width // 4)  # type: ignore[operator]
    assert all(np.isfinite(array).all() for array in outputs.values())
    assert ((outputs["scores"] >= 0) & (outputs["scores"] <= 1)).all()


@pytest.mark.parametrize("model", ["everyframe-nano", "everyframe-nano-int8"])
def test_embedded_networks_take_pictures_of_other_shapes(model: str) -> None:
    assert build_detector(DetectorConfig(model=model)).input_size == (544, 320)
    upright = build_detector(DetectorConfig(model=model, picture_size=(320, 544)))
    assert upright.input_size == (320, 544)
    assert build_detector(DetectorConfig(model=model, picture_size=(32, 32))).input_size == (32, 32)


INT8 = WEIGHTS.with_name("everyframe-nano-int8.xml")


def test_the_int8_file_is_of_its_card_and_both_are_small(card: dict[str, object]) -> None:
    own = json.loads(INT8.with_suffix(".json").read_text(encoding="utf-8"))
    assert checksum(INT8) == own["files"][INT8.name]
    assert (own["things"], own["stuff"]) == (card["things"], card["stuff"])
    assert own["class_offsets"] == card["class_offsets"]
    assert files_of(WEIGHTS) == [WEIGHTS]
    assert files_of(INT8) == [INT8, INT8.with_suffix(".bin")]
    assert sum(path.stat().st_size for path in (*files_of(WEIGHTS), *files_of(INT8))) < 6_000_000
