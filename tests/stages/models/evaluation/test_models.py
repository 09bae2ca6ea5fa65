"""Which files models are, and in which classes the truth is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Classes
from stages.models.evaluation.data_file import read_data_file
from stages.models.evaluation.models import file_of, model_files, taxonomy_of
from stages.models.evaluation.subject import Subject
from stages.models.labelled.taxonomy import Taxonomy

COCO = "- {kind: coco, images: pictures, labels: instances.json, hold_out: 0.25}\n"


def test_names_are_files_stems_unless_two_are_the_same(tmp_path: Path) -> None:
    files = model_files(["everyframe-nano", "a/x.onnx", "b/y.onnx"], tmp_path, size=None)
    assert [file.name for file in files] == ["everyframe-nano", "x", "y"]
    assert files[0].path.is_file()
    assert file_of("a/x.onnx") == files[1].path
    same = model_files(["a/x.onnx", "b/x.onnx"], tmp_path, size=None)
    assert [file.name for file in same] == ["a/x.onnx", "b/x.onnx"]
    with pytest.raises(ConfigError, match="x is named twice"):
        model_files(["x", "x"], tmp_path, size=None)


def test_a_checkpoint_is_measured_as_the_onnx_file_that_it_becomes(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    from stages.models.nano.network import Nano, NanoConfig
    from stages.models.training.checkpoint import write_checkpoint

    taxonomy = Taxonomy(classes=Classes(("person", "cat"), ("road",)), gathers={"cat": ("kitten",)})
    network = Nano(NanoConfig(things=2, classes=3))
    checkpoint = tmp_path / "last.safetensors"
    write_checkpoint(checkpoint, network, taxonomy)
    folder = tmp_path / "work"
    folder.mkdir()
    (file,) = model_files([str(checkpoint)], folder, size=(128, 96))
    assert file.taxonomy is not None
    assert file.taxonomy.label("kitten") == 1
    subject = Subject(str(file.path), name=file.name)
    assert subject.classes == taxonomy.classes
    assert subject.has_masks
    assert subject.name == "last"
    with pytest.raises(ModelError, match="multiples of 32"):
        model_files([str(checkpoint)], folder, size=(130, 96))
    with pytest.raises(ModelError, match="no such file"):
        model_files([str(tmp_path / "lost.safetensors")], tmp_path, size=(128, 96))


def test_the_truth_is_told_in_the_classes_of_the_first_model_with_masks() -> None:
    foreign, ours = Classes(("car", "potted plant")), Classes(("person", "car"), ("vegetation", "sky"))
    chosen = taxonomy_of([foreign, ours])
    assert chosen.classes == ours
    assert chosen.label("tree-merged") == chosen.label("potted plant") == 2
    assert taxonomy_of([foreign]).classes == foreign
    own = Taxonomy(classes=ours, gathers={"car": ("van",)})
    assert taxonomy_of([foreign, ours], [None, own]) is own


def test_names_that_are_classes_themselves_are_gathered_by_no_other() -> None:
    plants = taxonomy_of([Classes(("potted plant",), ("vegetation",))])
    assert plants.label("potted plant") == 0


def test_a_recipe_gives_its_data_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"steps: 3\nclasses:\n  things: {{car: [van]}}\n  stuff: {{road: []}}\ndata:\n{COCO}")
    (spec,), taxonomy = read_data_file(path)
    assert (spec.hold_out, spec.limit) == (0.25, None)
    assert taxonomy is not None
    assert (taxonomy.classes, taxonomy.label("van")) == (Classes(("car",), ("road",)), 0)
    (spec,), _ = read_data_file(path, hold_out=0.5, limit=7)
    assert (spec.hold_out, spec.limit) == (0.5, 7)


def test_a_file_of_data_alone_names_no_classes(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(f"data:\n{COCO}")
    assert read_data_file(path)[1] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: 3\n", "no recipe; a list of labelled pictures is needed under `data`"),
        ("- 1\n", "no recipe"),
        ("data: []\n", "Expected `array` of length >= 1"),
        ("data: [{kind: coco, images: a, labels: b, holdout: 1}]\n", "holdout"),
        ("data: [{kind: footage, files: [a.mp4], teachers: [b.onnx]}]\n", "only footage, which has no truth"),
        (f"classes: {{things: {{car: []}}, stuff: {{car: []}}}}\ndata:\n{COCO}", "car is among things and among stuff"),
    ],
    ids=["no-data", "list", "empty", "unknown", "footage", "thing-and-stuff"],
)
def test_files_that_name_no_pictures_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_data_file(path)
    assert str(path) in str(caught.value)
