"""An adaptation from footage to a file that runs, with nothing in anybody's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config import EMBEDDED_MODEL, DetectorConfig
from stages.detect import build_detector
from stages.models.adaptation.adapting import adapt
from stages.models.adaptation.labelling import LabelConfig
from stages.models.adaptation.plan import AdaptPlan

CLIP = Path(__file__).parents[4] / "samples" / "crossing" / "crossing.mp4"


@pytest.mark.long
def test_two_steps_give_a_network_that_runs_and_the_same_command_reads_it_again(tmp_path: Path) -> None:
    labels = LabelConfig(teachers=(EMBEDDED_MODEL,), fps=2.0, frames=10, hold_out=0.4, support=1)
    plan = AdaptPlan(footage=(CLIP,), labels=labels, output=tmp_path / "out", steps=2, rehearse=0.0)
    told: list[str] = []
    done = adapt(plan, progress=lambda what, *_: told.append(what))
    assert [what for what in dict.fromkeys(told) if "world" not in what][:3] == [
        "crossing.mp4",
        "pictures",
        "measuring before",
    ]
    assert "training" in told
    detector = build_detector(DetectorConfig(model=str(done.tried)))
    assert detector.classes == build_detector(DetectorConfig()).classes
    assert {"detections", "prototypes", "semantic"} <= detector.adds
    card = json.loads(done.tried.with_suffix(".json").read_text())
    assert "2 steps from everyframe-nano on" in card["training"]
    assert (done.model is not None) == (done.after.mean_ap50 > done.before.mean_ap50)
    again = adapt(plan, progress=lambda what, *_: told.append(f"again {what}"))
    assert again.told == done.told
    assert not any(what.startswith("again") for what in told)
