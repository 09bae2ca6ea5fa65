"""`everyframe export`: what it is asked for, what it refuses, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.app import execute
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.training.checkpoint import write_checkpoint
from tests.stages.models.exporting.tiny import CLASSES, lively

CLIP = Path(__file__).resolve().parents[3] / "samples" / "crossing" / "crossing.mp4"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "small.safetensors"
    write_checkpoint(path, lively(), Taxonomy(classes=CLASSES), training="over noise")
    return path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = execute(["export", *arguments])
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    return code, told[0]


def test_a_checkpoint_becomes_files_that_run(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    output = tmp_path / "made" / "small.onnx"
    arguments = [str(checkpoint), "--output", str(output), "--size", "96x64", "--format", "onnx,openvino"]
    assert execute(["export", *arguments, "--footage", str(CLIP), "--checked", "4"]) == 0
    told = capsys.readouterr()
    assert "checked on 4 frames of crossing.mp4" in told.out
    names = ["small.bin", "small.json", "small.onnx", "small.xml"]
    assert sorted(path.name for path in output.parent.iterdir()) == names
    from pipeline.config import DetectorConfig
    from stages.detect import build_detector

    for name in ("small.onnx", "small.xml"):
        detector = build_detector(DetectorConfig(model=str(output.with_name(name))))
        assert detector.classes == CLASSES
        detector.close()


def test_without_frames_the_street_stands_in_and_that_is_said(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    arguments = ["-o", str(tmp_path / "small"), "--size", "96x64", "--checked", "1", "--quiet", "--format", "torch"]
    assert execute(["export", str(checkpoint), *arguments]) == 0
    assert (
        "warning: checked on 1 frames of the synthetic street, no camera's; give --footage" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--size", "100x64"], 1, "pictures of 100x64; both sides must be multiples of 32"),
        (["--size", "big"], 2, "'big' is no size; 640x352 would be"),
        (["--format", "onnx,tflite"], 2, "--format: 'tflite' is not one of onnx, openvino, int8, torch"),
        (
            ["--format", "int8"],
            2,
            "--format int8: needs frames to calibrate with; give --footage VIDEO or --data",
        ),
        (
            ["--footage", "rtsp://user:secret@192.0.2.1/x"],
            2,
            "rtsp://***@192.0.2.1/x is live; recorded files",
        ),
        (["--footage", "no-such.mp4"], 1, "no-such.mp4"),
        (["--data", "no-such.yaml"], 2, "no-such.yaml: cannot be read as a recipe"),
        (["--max-drop", "2"], 2, "--max-drop: 2 is more than 1, which is everything"),
    ],
    ids=["size", "no-size", "format", "int8-without-frames", "live", "missing-footage", "missing-recipe", "drop"],
)
def test_what_cannot_be_is_refused_in_a_line(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    found, told = refusal(capsys, str(checkpoint), "-o", str(tmp_path / "out" / "small"), *arguments)
    assert found == code
    assert message in told
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.safetensors", None, "missing.safetensors: no such file"),
        ("other.safetensors", b"not tensors at all", "other.safetensors: cannot be read as a checkpoint"),
        ("bare.onnx", b"no model", "bare.json: the model's card cannot be read"),
        ("made.pt2", b"PK", "made.pt2: cannot be exported again"),
    ],
    ids=["missing", "damaged", "no-card", "program"],
)
def test_what_is_no_trained_network_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found, told = refusal(capsys, str(tmp_path / name), "-o", str(tmp_path / "small"), "--footage", str(CLIP))
    assert found == 1
    assert message in told
