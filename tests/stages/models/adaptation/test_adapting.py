"""The steps of an adaptation: in order, each once, going on after the last one, and keeping what is better."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError, ModelError, SinkError
from pipeline.messages import Classes
from stages.models.adaptation import adapting
from stages.models.adaptation.adapting import AFTER, NAME, REPORT, adapt
from stages.models.adaptation.comparing import Measured
from stages.models.adaptation.found import Found
from stages.models.adaptation.labelling import LabelConfig
from stages.models.adaptation.plan import AdaptPlan, spec_of
from stages.models.labelled.ending import Interrupted
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import Nano, NanoConfig
from stages.models.training.checkpoint import write_checkpoint
from tests.cameras.files import write_video


class Square:
    """Finds the bright square in made footage."""

    name = "square"
    looks = 0

    def __init__(self, things: int) -> None:
        self.knows = np.arange(things) == 0

    def find(self, rgb: NDArray[np.uint8]) -> Found:
        Square.looks += 1
        rows, columns = np.nonzero(rgb[..., 0] > 150)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Found.of([box], [0.9], [0])


class Steps:
    """What stands for the slow steps: notes what was done, and gives the figures it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: float, before: float = 0.2) -> None:
        self.done: list[str] = []
        self.figures = {"before": before, "after": after}
        self.fails = False
        for name in ("measure", "export_to", "shifts_of", "times", "find"):
            monkeypatch.setattr(adapting, name, getattr(self, name))

    def measure(self, model: str, samples: list[Any], taxonomy: Any, *, said: str, progress: Any) -> Measured:
        which = said.removeprefix("measuring ")
        self.done.append(which)
        share = self.figures[which]
        one = {"person": 5}
        return Measured(ap50={"person": share}, ap={"person": share}, objects=one, found=one, false=one, frames=8)

    def tune(self, plan: Any, taxonomy: Any, folder: Path, *, progress: Any, interrupted: Any) -> str:
        self.done.append("tune")
        if self.fails:
            raise KeyboardInterrupt
        return "network"

    def export_to(
        self, path: Path, network: object, *_: object, told: str, like: Path | None = None, shifts: Any = ()
    ) -> None:
        self.done.append("export" if shifts else "export raw" if like else "export start")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"onnx")
        path.with_suffix(".json").write_text(json.dumps({"things": ["person"], "stuff": [], "training": told}))

    def shifts_of(self, model: Path, *_: object) -> list[float]:
        assert model.is_file()
        return [0.5]

    def times(self, *_: object) -> dict[str, float]:
        return {"square": 20.0, NAME: 5.0}

    def find(self, model: str, images: list[Any], taxonomy: Any) -> list[Found]:
        return [Found.empty() for _ in images]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = []
    for i in range(60):
        picture = np.full((64, 96, 3), 40, np.uint8)
        left = 4 + i
        picture[20:44, left : left + 24] = 230
        pictures.append(picture)
    return write_video(tmp_path_factory.mktemp("footage") / "walk.mp4", pictures, fps=10)


def plan_for(footage: Path, output: Path, **changes: Any) -> AdaptPlan:
    labels = LabelConfig(teachers=("square",), fps=10.0, **changes.pop("labels", {}))
    return AdaptPlan(**{"footage": (footage,), "labels": labels, "output": output, "minutes": 1.0, **changes})


def run(plan: AdaptPlan, steps: Steps) -> adapting.Adapted:
    return adapt(plan, teacher=lambda _, taxonomy: Square(len(taxonomy.things)), tune=steps.tune)


def test_a_better_network_is_put_where_it_is_to_be_run_from(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, after=0.7)
    done = run(plan_for(footage, tmp_path / "out"), steps)
    assert steps.done == ["before", "tune", "export raw", "export", "after"]
    assert done.model == tmp_path / "out" / "adapted.onnx"
    assert done.model.read_bytes() == b"onnx"
    card = json.loads(done.model.with_suffix(".json").read_text())
    assert card["figures"]["held-out footage"] == {"before": 0.2, "after": 0.7}
    assert "walk.mp4 labelled by square" in card["training"]
    told = json.loads((tmp_path / "out" / REPORT).read_text())
    assert told["better"] is True
    assert "not of people" in told["truth"]
    assert told["labels"]["objects"]["held_out"]["person"] == 12
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("after", [0.1, 0.2], ids=["worse", "the same"])
def test_a_network_that_got_no_better_is_kept_apart(
    after: float, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(plan_for(footage, tmp_path / "out"), Steps(monkeypatch, after=after))
    assert done.model is None
    assert done.tried.is_file()
    assert not list((tmp_path / "out").glob("*.onnx"))
    assert json.loads((tmp_path / "out" / REPORT).read_text())["better"] is False


def test_what_was_done_is_not_done_again(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(footage, tmp_path / "out")
    steps = Steps(monkeypatch, after=0.7)
    steps.fails = True
    with pytest.raises(KeyboardInterrupt):
        run(plan, steps)
    looks, steps.fails = Square.looks, False
    assert run(plan, steps).model is not None
    assert steps.done == ["before", "tune", "tune", "export raw", "export", "after"]
    assert Square.looks == looks
    again = run(plan, steps)
    assert len(steps.done) == 6
    assert again.milliseconds == {"square": 20.0, NAME: 5.0}
    assert again.after.mean_ap50 == 0.7


def test_an_end_that_is_asked_for_comes_after_a_frame(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    steps = Steps(monkeypatch, after=0.7)
    with pytest.raises(Interrupted):
        adapt(
            plan_for(footage, tmp_path / "out"),
            progress=lambda _, done, of: told.append(done),
            interrupted=lambda: len(told) == 5,
            teacher=lambda _, taxonomy: Square(len(taxonomy.things)),
            tune=steps.tune,
        )
    assert told == [1, 2, 3, 4, 5]
    assert steps.done == []


def test_a_folder_of_other_settings_is_left_alone(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, after=0.7)
    run(plan_for(footage, tmp_path / "out"), steps)
    with pytest.raises(ConfigError, match=r"begun with other settings \(minutes 1\.0, now 2\.0\)"):
        run(plan_for(footage, tmp_path / "out", minutes=2.0), steps)
    with pytest.raises(ConfigError, match=r"\(frames 600, now 50\)"):
        run(plan_for(footage, tmp_path / "out", labels={"frames": 50}), steps)


def test_a_checkpoint_is_made_a_file_that_runs_before_it_is_measured(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = NanoConfig(things=2, classes=3, widths=(8, 8, 8, 8, 8), depths=(1, 1, 1, 1), pyramid=8, mask_width=8)
    taxonomy = Taxonomy(classes=Classes(("person", "tram"), ("road",)))
    write_checkpoint(tmp_path / "mine.safetensors", Nano(config), taxonomy)
    steps = Steps(monkeypatch, after=0.7)
    plan = plan_for(footage, tmp_path / "out", start=tmp_path / "mine.safetensors", labels={"classes": ("person",)})
    assert run(plan, steps).model is not None
    assert steps.done == ["export start", "before", "tune", "export raw", "export", "after"]
    assert (tmp_path / "out" / "start" / "mine.onnx").is_file()
    assert run(plan, steps).model is not None
    assert len(steps.done) == 6


def test_a_start_of_another_kind_is_refused(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"--start: .*net\.pth; an \.onnx of 'everyframe export'"):
        run(plan_for(footage, tmp_path / "out", start=tmp_path / "net.pth"), Steps(monkeypatch, after=0.7))
    with pytest.raises(ModelError, match=r"none\.onnx"):
        run(plan_for(footage, tmp_path / "out", start=tmp_path / "none.onnx"), Steps(monkeypatch, after=0.7))


def test_a_full_disk_is_told_in_one_line(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    steps = Steps(monkeypatch, after=0.7)
    monkeypatch.setattr(adapting, "write_json", full)
    with pytest.raises(SinkError, match=r"out: cannot be written \(No space left on device\); what was done is kept"):
        run(plan_for(footage, tmp_path / "out"), steps)


def test_figures_that_cannot_be_read_are_named(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(footage, tmp_path / "out")
    steps = Steps(monkeypatch, after=0.7)
    run(plan, steps)
    (tmp_path / "out" / AFTER).write_text("{}")
    with pytest.raises(DataError, match=r"after\.json: holds no figures .* delete it"):
        run(plan, steps)
    (tmp_path / "out" / AFTER).write_text("{")
    with pytest.raises(DataError, match=r"after\.json: cannot be read .* delete it"):
        run(plan, steps)


def test_what_could_not_be_labelled_may_be_asked_for_otherwise(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, after=0.7)
    with pytest.raises(DataError, match="sure of nothing"):
        run(plan_for(footage, tmp_path / "out", labels={"thresholds": {"person": 0.95}}), steps)
    looks = Square.looks
    assert run(plan_for(footage, tmp_path / "out", labels={"thresholds": {"person": 0.5}}), steps).model is not None
    assert Square.looks == looks


def test_nothing_held_out_measures_nothing(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="--hold-out above 0"):
        run(plan_for(footage, tmp_path / "out", labels={"hold_out": 0.0}), Steps(monkeypatch, after=0.7))


def test_the_training_reads_the_labels_that_were_made(footage: Path, tmp_path: Path) -> None:
    from stages.models.adaptation.footage import config_of

    plan = plan_for(footage, tmp_path / "out", labels={"classes": ("person",), "thresholds": {"person": 0.4}})
    assert config_of(spec_of(plan)) == plan.labels
