"""`everyframe evaluate` from a shell: a street measured whole, and requests that cannot be carried out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli.evaluate import _views
from pipeline.cli.values import size
from pipeline.errors import UsageError
from tests.pipeline.cli.command_line import everyframe, started
from tests.pipeline.engines import wait_for


def coco(folder: Path) -> tuple[str, str]:
    """Two grey pictures, one with a person."""
    pictures = folder / "pictures"
    pictures.mkdir()
    images = []
    for number in (1, 2):
        cv2.imwrite(str(pictures / f"{number:012d}.jpg"), np.full((96, 128, 3), 120, np.uint8))
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": 128, "height": 96})
    square = [[10, 10, 50, 10, 50, 80, 10, 80]]
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 70], "area": 2800, "iscrowd": 0}
    labels = folder / "instances.json"
    labels.write_text(
        json.dumps(
            {
                "images": images,
                "annotations": [{**one, "segmentation": square}],
                "categories": [{"id": 1, "name": "person"}],
            }
        )
    )
    return str(pictures), str(labels)


@pytest.mark.long
def test_a_street_and_a_clip_are_measured_and_everything_is_left(tmp_path: Path) -> None:
    for package in ("faster_coco_eval", "trackeval"):
        pytest.importorskip(package, reason=f"needs {package}, of the eval extra")
    folder = tmp_path / "figures"
    done = everyframe(
        "evaluate", "--worlds", "1", "--clips", "1", "--clip-seconds", "0.3", "--timed", "2", "-o", str(folder)
    )
    assert done.returncode == 0, done.stderr
    assert "2 pictures: 1 unseen worlds from seed 1000000, 640x360" in done.stdout
    told = json.loads((folder / "figures.json").read_text())
    (model,) = told["models"]
    assert model["model"] == "everyframe-nano"
    assert 0 < model["means"]["ap50"] <= 1
    assert 0 < model["means"]["pq"] <= 1
    assert 0 <= model["clips"]["stq"] <= 1
    assert model["latency"]["pictures"] == 2
    assert model["parameters"] > 1_000_000
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_photographs_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")
    done = everyframe("evaluate", "--coco", *coco(tmp_path), "--timed", "0", "--tta", "flip", "scales=1.5")
    assert done.returncode == 0, done.stderr
    assert "2 pictures: " in done.stdout
    assert "ignored: crowds" in done.stdout
    assert "things compared: person\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to measure on; give --worlds"),
        (["--worlds", "0"], "0 is too small; 1 or more is needed"),
        (["--worlds", "1", "--score", "2"], "--score: 2.0 is not within 0 and 1"),
        (["--coco", "a", "b", "--hold-out", "1"], "--hold-out: 1.0 is not within 0 and 0.999"),
        (["--worlds", "1", "--tta", "turn"], "--tta: 'turn' is unknown; scales=0.75,1.5 and flip can be given"),
        (["--worlds", "1", "--tta", "scales=9"], "--tta: scale '9'; numbers from 0.25 to 4 can be given"),
        (["--worlds", "1", "--size", "640"], "--size: '640' is no size; 640x352 would be"),
        (["--worlds", "1", "--model", "a", "a"], "--model: a is named twice"),
        (["--worlds", "1", "--model", "a.onnx", "b.onnx", "--on-card"], "--on-card: 2 models are measured"),
        (["--worlds", "1", "--model", "a.safetensors", "--on-card"], "--on-card: a checkpoint has no card"),
        (["--data", "lost.yaml"], "lost.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_requests_that_cannot_be_carried_out(arguments: list[str], said: str) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")
    done = everyframe("evaluate", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--worlds", "1", "--model", "lost.onnx"], "lost.onnx"),
        (["--worlds", "1", "--model", "lost.safetensors"], "lost.safetensors: no such file"),
        (["--coco", "lost", "lost.json"], "lost"),
        (["--mot", "lost"], "lost/seqinfo.ini: cannot be read as a MOTChallenge sequence: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_read(arguments: list[str], said: str) -> None:
    pytest.importorskip("trackeval", reason="needs trackeval, of the eval extra")
    done = everyframe("evaluate", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_sigterm_leaves_no_folder_behind(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")
    running = started("evaluate", "--worlds", "500", TMPDIR=str(tmp_path))
    try:
        wait_for(lambda: bool(list(tmp_path.glob("everyframe-evaluate-*"))), "the folder of models")
        running.terminate()
        running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 143
    assert not list(tmp_path.glob("everyframe-evaluate-*"))


def test_options_are_read_as_they_are_written() -> None:
    assert _views(None) is None
    assert _views(["scales=0.75,1.5", "flip"]) == {"scales": (0.75, 1.5), "mirror": True}
    assert _views(["flip"]) == {"scales": (), "mirror": True}
    assert size("96x64") == (96, 64)
    with pytest.raises(UsageError, match="scale ''"):
        _views(["scales="])
