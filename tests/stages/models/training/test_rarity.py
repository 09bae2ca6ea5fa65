"""Which pictures are drawn more often for what is rare in them."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from pipeline.messages import Classes
from stages.models.labelled.sample import Sample
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.training.rarity import odds_of
from stages.models.training.recipe import Recipe
from stages.models.training.recipe_run import open_sets, with_odds

TAXONOMY = Taxonomy(classes=Classes(("person", "bus"), ("road",)))


class Labels:
    """Pictures of which nothing but labels is known."""

    name = "labels"
    notes: tuple[str, ...] = ()

    def __init__(self, *labels: list[int]) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def key(self, index: int) -> str:
        return str(index)

    def labels_of(self, index: int) -> list[int]:
        return self.labels[index]

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("a picture was read")


def test_a_picture_counts_by_the_root_of_how_rare_its_rarest_class_is() -> None:
    pictures = Labels([0], [0, 0, 1], [0], [], *[[0]] * 12)
    odds = odds_of(pictures, TAXONOMY, rare=0.25)  # a bus in one of 16: twice
    assert odds.sum() == pytest.approx(1)
    assert (odds * 17).tolist() == pytest.approx([1, 2, 1, 1, *[1] * 12])


def test_where_nothing_is_rare_all_are_alike_and_where_nothing_is_nothing_is_drawn() -> None:
    assert odds_of(Labels([0], [1], [0, 1]), TAXONOMY, rare=0.5).tolist() == pytest.approx([1 / 3] * 3)
    assert odds_of(Labels(), TAXONOMY, rare=0.5).tolist() == []


def test_a_recipe_says_what_is_rare_of_each_entry(tmp_path: Path) -> None:
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((32, 32, 3), np.uint8))
        (tmp_path / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n" + "1 0.5 0.5 0.4 0.4\n" * (number == 3))
    entry = {"kind": "yolo", "images": str(tmp_path), "labels": str(tmp_path), "names": ["person", "bus"]}
    settings = {
        "data": [{**entry, "rare": 0.5}, entry, {**entry, "rare": 0.5, "hold_out": 0.5}],
        "classes": {"things": {"person": [], "bus": []}, "stuff": {"road": []}},
    }
    recipe = msgspec.convert(settings, Recipe)
    sets = open_sets(recipe, part="train")
    told: list[tuple[int, int]] = []
    first, second, third = with_odds(recipe, sets, progress=lambda what, done, of: told.append((done, of)))
    assert (8, 8) in told
    assert first.odds is not None
    assert (first.odds * 9).tolist() == pytest.approx([1, 1, 1, 2, 1, 1, 1, 1])
    assert second.odds is None
    assert third.odds is not None
    assert len(third.odds) == len(third.pictures) < 8
