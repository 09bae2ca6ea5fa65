"""Counts of a set, and the classes that it lacks."""

from __future__ import annotations

from pathlib import Path

from pipeline.messages import Classes
from stages.models.labelled.census import census, labels_in, labels_of
from stages.models.labelled.specs import CocoSpec, WorldSpec, YoloSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy, world_taxonomy
from tests.stages.models.labelled.making import STREET, coco, rectangle


def test_objects_and_pictures_are_counted_by_class(tmp_path: Path) -> None:
    fields = coco(
        tmp_path,
        [
            {"category_id": 11, **rectangle(1, 1, 9, 9)},
            {"category_id": 11, "image_id": 1, **rectangle(1, 1, 9, 9)},
            {"category_id": 11, "image_id": 1, **rectangle(11, 1, 19, 9)},
            {"category_id": 12, "image_id": 1, **rectangle(20, 20, 30, 30)},
        ],
        pictures=("a.jpg", "b.jpg", "c.jpg"),
    )
    pictures = open_pictures(CocoSpec(**fields), STREET)
    Path(fields["images"], "c.jpg").unlink()  # no picture is read for it
    counted = census([pictures], STREET)
    assert counted.pictures == 3
    assert counted.objects == {"person": 0, "car": 3}
    assert counted.seen_in == {"person": 0, "car": 2, "road": 1, "sky": 0}
    assert counted.empty == ("person", "sky")
    assert counted.warnings() == ["no picture has person, sky"]


def test_several_sets_are_counted_together_with_their_remarks(tmp_path: Path) -> None:
    first = CocoSpec(
        **coco(tmp_path, [{"category_id": 11, **rectangle(1, 1, 9, 9)}, {"category_id": 11, "bbox": [1, 1, 0, 0]}])
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    second = YoloSpec(images=str(tmp_path / "images"), names=["person"])
    counted = census([open_pictures(spec, STREET) for spec in (first, second)], STREET)
    assert counted.objects == {"person": 1, "car": 1}
    assert len(counted.warnings()) == 2
    assert "without area" in counted.warnings()[0]


def test_what_is_not_known_without_the_picture_is_read(tmp_path: Path) -> None:
    spec = WorldSpec(worlds=1, frames_per_world=1, cache=str(tmp_path), processes=1)
    taxonomy = world_taxonomy()
    pictures = open_pictures(spec, taxonomy)
    sample = pictures[0]
    assert labels_of(pictures, 0, taxonomy) == labels_in(sample, taxonomy)
    counted = census([pictures], taxonomy)
    assert sum(counted.objects.values()) == len(sample.labels)
    assert counted.seen_in["road"] == 1
    narrow = Taxonomy(classes=Classes(("dog",), ("road",)))
    assert census([open_pictures(spec, narrow)], narrow).empty == ("dog",)
