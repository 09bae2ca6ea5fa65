"""The recipes that come with the package can be read, and say what their comments say."""

from __future__ import annotations

from pathlib import Path

import pytest

import stages.models.training
from pipeline.errors import ConfigError
from stages.models.training.recipe import read_recipe
from tests.stages.models.training.pictures import recipe as tiny

RECIPES = sorted((Path(stages.models.training.__file__).parent / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_the_package_reads(path: Path) -> None:
    recipe = read_recipe(path)
    taxonomy = recipe.taxonomy()
    config = recipe.network_config(taxonomy)
    assert (config.things, config.classes) == (len(taxonomy.things), len(taxonomy.classes.names))


def test_changes_take_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("data: [{kind: world}]\nsteps: 7\nseed: 1\n")
    assert read_recipe(tmp_path / "one.yaml", {"steps": 9}).steps == 9
    assert read_recipe(tmp_path / "one.yaml").seed == 1


@pytest.mark.parametrize("text", ["", "- a\n", "data: []\n", "data: [{kind: world}]\nsteps: [\n", "a: &a [*a]\n"])
def test_files_that_are_no_recipes(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"one\.yaml"):
        read_recipe(tmp_path / "one.yaml")


def test_names_of_no_loss_are_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("data: [{kind: world}]\nloss: {semantic: {dice: 1, tversky: 1}}\n")
    with pytest.raises(ConfigError, match=r"one\.yaml: loss\.semantic: 'tversky'; there are cross-entropy, .*lovasz"):
        read_recipe(tmp_path / "one.yaml")


def test_a_training_goes_on_with_other_readers_and_devices_and_not_with_another_seed() -> None:
    one = tiny()
    for change in ({"readers": 3}, {"device": "auto"}, {"copies": 2}, {"threads": 2}, {"checkpoint_every": 7}):
        assert tiny(**change).fingerprint() == one.fingerprint()
    for change in ({"seed": 1}, {"batch": 5}, {"optimiser": {"rate": 1e-3}}, {"steps": 9}):
        assert tiny(**change).fingerprint() != one.fingerprint()
