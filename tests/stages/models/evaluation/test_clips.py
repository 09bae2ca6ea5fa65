"""Clips: a synthetic street's identities are the world's; MOTChallenge folders, whole and broken."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.messages import Classes
from stages.models.evaluation.clips import WorldClip
from stages.models.evaluation.mot_clip import open_mot
from stages.models.evaluation.truth import truth_of
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.taxonomy import Taxonomy, world_taxonomy
from stages.models.world import World

PEOPLE = Taxonomy(classes=Classes(("car", "person")))
GT = "1,3,10,5,8,20,1,1,0.9\n2,3,11,5,8,20,1,1,0.9\n1,4,40,5,8,20,0,7,0.5\n2,9,30,30,9,9,1,3,1\n"


def sequence(root: Path, *, gt: str = GT, about: str = "[Sequence]\nframeRate=20\nimDir=img1\nimExt=.png\n") -> Path:
    folder = root / "MADE-01"
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").mkdir()
    (folder / "gt" / "gt.txt").write_text(gt)
    (folder / "seqinfo.ini").write_text(about)
    for number in (1, 2):
        cv2.imwrite(str(folder / "img1" / f"{number:06d}.png"), np.full((48, 64, 3), number, np.uint8))
    return folder


def test_identities_of_a_street_are_those_of_its_world() -> None:
    clip = WorldClip(taxonomy=world_taxonomy(), seed=7, seconds=0.2, fps=10, width=160, height=96)
    frames = list(clip)
    assert len(clip) == len(frames) == 2
    assert clip.seconds_between == pytest.approx(0.1)
    expected = World(7, split="unseen", width=160, height=96, fps=10).render()
    np.testing.assert_array_equal(frames[0].ids, 1 + expected.track_ids)
    np.testing.assert_array_equal(frames[0].sample.image, expected.image)


def test_objects_of_classes_that_are_not_asked_for_leave_the_others_their_identities() -> None:
    whole = next(iter(WorldClip(taxonomy=world_taxonomy(), seed=8, seconds=0.1, width=320, height=180)))
    cars = Taxonomy(classes=Classes(("car",), ("road",)))
    sample, ids = next(iter(WorldClip(taxonomy=cars, seed=8, seconds=0.1, width=320, height=180)))
    car = world_taxonomy().label("car")
    np.testing.assert_array_equal(ids, whole.ids[whole.sample.labels == car])
    np.testing.assert_allclose(sample.boxes, whole.sample.boxes[whole.sample.labels == car])
    assert 0 < len(ids) < len(whole.ids)
    for row in range(len(ids)):
        same = np.flatnonzero(whole.ids == ids[row])[0]
        np.testing.assert_array_equal(sample.regions == FIRST_OBJECT + row, whole.sample.regions == FIRST_OBJECT + same)


def test_a_mot_folder_tells_of_people_alone(tmp_path: Path) -> None:
    clip = open_mot(sequence(tmp_path), PEOPLE)
    assert (clip.name, clip.seconds_between, len(clip)) == ("MOT MADE-01", pytest.approx(0.05), 2)
    first, second = list(clip)
    assert (first.sample.image == 1).all()
    np.testing.assert_allclose(first.sample.boxes, [[10, 5, 18, 25], [40, 5, 48, 25]])
    assert first.ids.tolist() == [3, 4]
    truth = truth_of(first.sample, ignoring="coco", things=2)
    assert truth.ignored.tolist() == [False, True]
    assert truth.labels.tolist() == [1, 1]
    assert truth.open_labels == {0}  # of cars it says nothing
    assert second.ids.tolist() == [3]


def test_short_lines_and_coordinates_of_mot15_are_people(tmp_path: Path) -> None:
    clip = open_mot(sequence(tmp_path, gt="1,2,1,2,3,4\n2,2,1,2,3,4,1,-1,-1,-1\n"), PEOPLE)
    assert [frame.sample.visibility.tolist() for frame in clip] == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gt": "1,2,3\n"}, "line 1 has 3 numbers; frame, identity and a box are needed"),
        ({"gt": "1,2,x,4,5,6\n"}, "cannot be read as MOTChallenge's truth"),
        ({"gt": "7,1,1,2,3,4\n"}, "truth up to frame 7, and 2 frames in img1"),
        ({"about": "frames\n"}, "cannot be read as a MOTChallenge sequence"),
        ({"about": "[Sequence]\nimExt=.png\nframeRate=0\n"}, "frameRate is '0'; frames a second are needed"),
        ({"about": "[Sequence]\nimExt=.jpg\n"}, r"no frames \(\*.jpg\)"),
    ],
    ids=["short", "text", "frames", "about", "rate", "pictures"],
)
def test_broken_folders_are_refused_in_a_line(tmp_path: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        open_mot(sequence(tmp_path, **change), PEOPLE)
    assert "\n" not in str(caught.value)


def test_a_folder_without_truth_or_for_models_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"seqinfo.ini: cannot be read .*: No such file"):
        open_mot(tmp_path, PEOPLE)
    with pytest.raises(DataError, match="no model that is measured knows 'person'"):
        open_mot(sequence(tmp_path), Taxonomy(classes=Classes(("car",))))


def test_a_broken_frame_is_named(tmp_path: Path) -> None:
    folder = sequence(tmp_path)
    (folder / "img1" / "000002.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"000002.png: cannot be read as a picture"):
        list(open_mot(folder, PEOPLE))
