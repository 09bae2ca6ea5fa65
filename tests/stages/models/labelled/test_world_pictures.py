"""The synthetic street as labelled pictures: rendered once, renumbered to other classes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.messages import Classes
from stages.models.labelled.embedded import EMBEDDED_TAXONOMY
from stages.models.labelled.sample import FIRST_OBJECT, Sample, unpack
from stages.models.labelled.specs import WorldSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy, world_taxonomy
from stages.models.labelled.world_pictures import WorldPictures, in_classes_of


def sample() -> Sample:
    """Road, sky, a car and a person behind it, as the world numbers them."""
    regions = np.array([[4, 4, 4], [FIRST_OBJECT, FIRST_OBJECT, FIRST_OBJECT + 1], [1, 1, 3]], np.uint8)
    boxes = np.array([[0, 1, 2, 2], [1, 1, 3, 2]], np.float32)
    return Sample(np.zeros((3, 3, 3), np.uint8), regions, boxes, np.array([2, 0]), np.array([1, 0.4], np.float32))


def test_its_own_classes_stay() -> None:
    same = in_classes_of(sample(), world_taxonomy())
    assert np.array_equal(same.regions, sample().regions)
    assert np.array_equal(same.boxes, sample().boxes)
    assert same.visibility.tolist() == pytest.approx([1, 0.4])
    assert same.known is None


def test_other_orders_and_classes_that_are_missing() -> None:
    taxonomy = Taxonomy(
        classes=Classes(("dog", "person"), ("sky", "machine")), gathers={"machine": ("car", "building")}
    )
    told = in_classes_of(sample(), taxonomy, ["person"])
    machine, void = 2, 0
    assert told.regions.tolist() == [[1, 1, 1], [machine, machine, FIRST_OBJECT], [void, void, machine]]
    assert told.labels.tolist() == [1]
    assert told.boxes.tolist() == [[1, 1, 3, 2]]
    assert told.visibility.tolist() == pytest.approx([0.4])
    assert told.known is not None
    assert told.known.tolist() == [False, True]


def test_stuff_that_counts_as_a_thing_is_not_told_apart() -> None:
    told = in_classes_of(sample(), Taxonomy(classes=Classes(("house",), ()), gathers={"house": ("building",)}))
    assert told.visibility.tolist() == [0]
    assert told.boxes.tolist() == [[2, 2, 3, 3]]


def test_worlds_are_rendered_once_and_split_by_street(tmp_path: Path) -> None:
    spec = WorldSpec(worlds=4, frames_per_world=2, cache=str(tmp_path), hold_out=0.5, processes=2)
    told: list[tuple[str, int, int]] = []
    whole = open_pictures(spec, EMBEDDED_TAXONOMY, progress=lambda *what: told.append(what))
    assert told == [("rendered worlds", n, 4) for n in range(1, 5)]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(files) == 1
    parts = [open_pictures(spec, EMBEDDED_TAXONOMY, part=part) for part in ("train", "held-out")]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == files
    streets = [{part.key(n)[:-2] for n in range(len(part))} for part in parts]
    assert not streets[0] & streets[1]
    assert len(streets[0] | streets[1]) == 4
    assert [whole.key(n) for n in range(3)] == ["world-0000000-0", "world-0000000-1", "world-0000001-0"]
    check_renumbered(whole)
    with pytest.raises(DataError, match="holds 2 frames of 8"):
        break_cache(spec, next(iter(files)))


def check_renumbered(pictures: object) -> None:
    """The same classes at the same pixels, in the embedded network's numbers."""
    assert isinstance(pictures, WorldPictures)
    again = pickle.loads(pickle.dumps(pictures))  # noqa: S301 - as a data loader's workers get them
    own, other = world_taxonomy(), EMBEDDED_TAXONOMY
    for n in range(len(pictures)):
        before, after = unpack(pictures.packed[n]), again[n]
        assert [own.things[label] for label in before.labels] == [other.things[label] for label in after.labels]
        assert np.array_equal(before.regions >= FIRST_OBJECT, after.regions >= FIRST_OBJECT)
        for name in own.stuff:
            label = other.label(name)
            assert label is not None
            assert np.array_equal(before.regions == 1 + own.stuff.index(name), after.regions == other.region(label))


def break_cache(spec: WorldSpec, path: Path) -> None:
    from stages.models.labelled.world import load, save

    save(load(path)[:2], path)
    open_pictures(spec, EMBEDDED_TAXONOMY)


def test_a_broken_cache_is_named(tmp_path: Path) -> None:
    spec = WorldSpec(worlds=1, frames_per_world=1, cache=str(tmp_path), processes=1)
    open_pictures(spec, world_taxonomy())
    path = next(tmp_path.rglob("*.npz"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"worlds-0000000-1-of1\.npz: cannot be read.*delete it"):
        open_pictures(spec, world_taxonomy())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="rendered worlds cannot be kept there: Not a directory"):
        open_pictures(WorldSpec(worlds=1, cache=str(tmp_path / "file")), world_taxonomy())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"data\.cache: the user's cache cannot be written"):
        open_pictures(WorldSpec(worlds=1), world_taxonomy())
