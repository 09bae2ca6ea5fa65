"""`everyframe train` from the outside: it trains, says what is wrong with a recipe, and goes on after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.cli.app import execute
from stages.models.training.checkpoint import read_checkpoint
from stages.models.training.recipe import read_recipe
from stages.models.training.recipe_run import run_recipe

COMMAND = [sys.executable, "-m", "pipeline.cli", "train"]


def recipe(folder: Path, **changes: object) -> Path:
    """Two streets, seen tiny by a tiny network in one process."""
    settings = {
        "data": [{"kind": "world", "worlds": 2, "frames_per_world": 2, "cache": str(folder / "worlds")}],
        "classes": "world",
        "network": {"pyramid": 8, "mask_width": 8, "coefficients": 4},
        "width": 64,
        "height": 64,
        "steps": 3,
        "batch": 2,
        "copies": 1,
        "threads": 1,
        "readers": 0,
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)


def test_a_recipe_gives_a_checkpoint_a_log_and_curves(tmp_path: Path) -> None:
    done = run(recipe(tmp_path), "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "4 pictures; things" in done.stdout
    assert "step 3 of 3: loss" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "curves.png", "log.jsonl", "nano.safetensors", "state.safetensors",
    ]  # fmt: skip
    assert read_checkpoint(tmp_path / "out" / "nano.safetensors").taxonomy.things[0] == "person"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 0}, "batch"),
        ({"width": 100}, "width"),
        ({"depth": 3}, "depth"),
        ({"data": [{"kind": "film"}]}, "film"),
        ({"loss": {"boxes": "huber"}}, "huber"),
        ({"loss": {"masks": {"huber": 1}}}, "loss.masks: 'huber'; there are bce"),
        ({"backbone_weights": "missing.pth"}, "missing.pth: no such file"),
        ({"network": {"backbone": "csp"}, "backbone_weights": "x.pth"}, "network.backbone is csp"),
        ({"network": {"bins": 1}}, "bins is 1; it is 0, or 2 and more - at `$.network`"),
        ({"classes": {"things": {}, "stuff": {"road": []}}}, "length >= 1 - at `$.classes.things`"),
        ({"classes": {"things": {"road": []}, "stuff": {"road": []}}}, "road is among things and among stuff"),
        ({"copies": 3}, "copies: 3, for a batch of 2"),
        ({"copies": 2, "device": "cuda:77"}, "device: 'cuda:77'"),
        ({"teacher": {"model": "missing.onnx"}}, "teacher: missing.onnx: no such file"),
        ({"data": [{"kind": "coco", "images": "nowhere", "labels": "nowhere.json"}]}, "nowhere"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], told: str
) -> None:
    assert execute(["train", str(recipe(tmp_path, **changes)), "--output", str(tmp_path / "out")]) in (1, 2)
    errors = capsys.readouterr().err
    assert told in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out" / "nano.safetensors").exists()


@pytest.mark.parametrize("more", [(), ("--tensorboard",)], ids=["plain", "tensorboard"])
def test_a_folder_that_cannot_be_written_is_told_in_a_line_before_anything_is_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert execute(["train", str(recipe(tmp_path)), "--output", str(tmp_path / "out"), *more]) == 1
    errors = capsys.readouterr().err
    assert "out" in errors
    assert "cannot be written" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "worlds").exists()


def test_whoever_wants_an_end_does_not_wait_for_all_streets(tmp_path: Path) -> None:
    settings = read_recipe(recipe(tmp_path))
    told: list[int] = []
    assert not run_recipe(
        settings, tmp_path / "out", progress=lambda what, done, of: told.append(done), interrupted=lambda: bool(told)
    )
    assert len(told) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_curves_that_cannot_be_written_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / "curves.png").mkdir(parents=True)
    assert execute(["train", str(recipe(tmp_path, steps=1)), "--output", str(tmp_path / "out")]) == 1
    assert "the curves cannot be written" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "out" / "nano.safetensors")


def test_what_is_missing_on_the_command_line_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["train", str(recipe(tmp_path))]) == 2
    assert "--output DIR" in capsys.readouterr().err
    assert execute(["train", str(tmp_path / "nothing.yaml"), "--output", str(tmp_path / "out")]) == 2


def test_every_setting_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["train", "--explain"]) == 0
    explained = capsys.readouterr().out
    for setting in ("data[coco].hold_out", "optimiser.backbone_rate", "teacher.weight", "augment.mosaic", "loss.boxes"):
        assert f"{setting} " in explained


@pytest.mark.long
def test_ctrl_c_keeps_the_last_step_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path, out = recipe(tmp_path, steps=100_000, checkpoint_every=2), tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, path, "--output", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert "the same command goes on" in errors
    again = subprocess.Popen(
        [*COMMAND, path, "--output", out, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(1)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=120)
    assert again.returncode in (143, -signal.SIGTERM)  # the latter where it had not begun yet
