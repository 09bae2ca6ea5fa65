"""Footage to labelled pictures, with a made clip and a teacher that knows where things are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from pipeline.messages import Classes
from stages.models.adaptation.footage import config_of
from stages.models.adaptation.found import Found
from stages.models.adaptation.labelling import LabelConfig, Labelled, label_footage
from stages.models.adaptation.looks import CHUNK
from stages.models.adaptation.teacher import open_teacher
from stages.models.labelled.packed import KeyedSample, load, save
from stages.models.labelled.sample import FIRST_OBJECT, PackedSample, Sample, pack, unpack
from stages.models.labelled.specs import FootageSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from tests.cameras.files import write_video

TAXONOMY = Taxonomy(classes=Classes(("person", "car"), ("road",)))
SIZE = (96, 64)


def clip(path: Path, *, frames: int = 60) -> Path:
    """A bright square of 24 x 24 that walks to the right, and is away for the middle third."""
    path.parent.mkdir(exist_ok=True)
    pictures = []
    for i in range(frames):
        picture = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
        if not frames / 3 <= i < frames * 2 / 3:
            left = 4 + (i * 3) % 60
            picture[20:44, left : left + 24] = 230
        pictures.append(picture)
    write_video(path, pictures, fps=10)
    return path


class SquareTeacher:
    """Finds the bright square, wherever it is; `fails_at` looks it fails."""

    def __init__(self, name: str, *, score: float = 0.9, fails_at: int | None = None) -> None:
        self.name, self.score, self.fails_at = name, score, fails_at
        self.knows = np.array([True, False])
        self.looks = 0

    def find(self, rgb: NDArray[np.uint8]) -> Found:
        self.looks += 1
        if self.looks == self.fails_at:
            raise KeyboardInterrupt
        rows, columns = np.nonzero(rgb[..., 0] > 150)
        if not len(rows):
            return Found.empty()
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Found.of([box], [self.score], [0])


def run(
    paths: list[Path], folder: Path, teacher: SquareTeacher, config: LabelConfig | None = None, **changes: object
) -> Labelled:
    config = config or LabelConfig(teachers=("square",), fps=10.0)
    return label_footage(
        paths,
        config,
        TAXONOMY,
        folder,
        teacher=lambda name, taxonomy: teacher,
        checksum=str,
        **changes,  # type: ignore[arg-type]
    )


def test_labels_are_where_things_are(tmp_path: Path) -> None:
    labelled = run([clip(tmp_path / "walk.mp4")], tmp_path / "labels", SquareTeacher("square"))
    assert labelled.told["frames_looked_at"] == 60
    assert labelled.known.tolist() == [True, False]
    assert len(labelled.held_out) == 12
    for key, packed in labelled.train + labelled.held_out:
        sample = unpack(packed)
        assert sample.image.shape == (64, 96, 3)
        assert sample.known is not None
        assert sample.known.tolist() == [True, False]
        assert not sample.regions.any()
        second = float(key.removeprefix("walk@"))
        if 2 <= second < 4:
            assert len(sample.boxes) == 0
        else:
            left = 4 + round(second * 10) * 3 % 60
            assert np.abs(sample.boxes - [[left, 20, left + 24, 44]]).max() <= 2
    seconds = [[float(one.key.split("@")[1]) for one in side] for side in (labelled.train, labelled.held_out)]
    assert max(seconds[0]) < min(seconds[1])


def test_it_is_told_how_far_it_is_and_of_how_much(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = clip(tmp_path / "walk.mp4")
    run([path], tmp_path / "labels", SquareTeacher("square"), progress=lambda *one: told.append(one))
    looks = [one for one in told if one[0] == "walk.mp4"]
    assert looks == [("walk.mp4", done, 60) for done in range(1, 61)]
    pictures = [one for one in told if one[0] == "pictures"]
    assert pictures[-1] == ("pictures", len(pictures), len(pictures))


def test_the_same_again_asks_no_teacher_and_other_thresholds_ask_none_either(tmp_path: Path) -> None:
    path, folder = clip(tmp_path / "walk.mp4"), tmp_path / "labels"
    first = run([path], folder, SquareTeacher("square"))
    idle = SquareTeacher("square")
    again = run([path], folder, idle)
    assert [one.key for one in again.train] == [one.key for one in first.train]
    other = run([path], folder, idle, LabelConfig(teachers=("square",), fps=10.0, thresholds={"person": 0.7}))
    assert other.thresholds["person"] == pytest.approx(0.7)
    assert idle.looks == 0
    run([path], folder, idle, LabelConfig(teachers=("another",), fps=10.0))
    assert idle.looks == 120


def test_a_run_that_is_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    path, folder = clip(tmp_path / "walk.mp4", frames=CHUNK + 40), tmp_path / "labels"
    with pytest.raises(KeyboardInterrupt):
        run([path], folder, SquareTeacher("square", fails_at=2 * CHUNK + 11))
    after = SquareTeacher("square")
    resumed = run([path], folder, after)
    assert after.looks == 2 * 40
    whole = run([path], tmp_path / "other", SquareTeacher("square"))
    assert [one.key for one in resumed.train] == [one.key for one in whole.train]
    pairs = zip(resumed.train, whole.train, strict=True)
    assert all(np.array_equal(one.sample.boxes, other.sample.boxes) for one, other in pairs)


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "walk.mp4")
    with pytest.raises(DataError, match=r"sure of nothing .* lower --threshold"):
        run([path], tmp_path / "a", SquareTeacher("square", score=0.2))
    with pytest.raises(DataError, match=r"held out .* at least 8 are needed"):
        run([clip(tmp_path / "short.mp4", frames=20)], tmp_path / "b", SquareTeacher("square"))
    with pytest.raises(DataError, match=r"no teacher knows any of car"):
        run([path], tmp_path / "c", SquareTeacher("square"), LabelConfig(teachers=("square",), classes=("car",)))
    with pytest.raises(ConfigError, match=r"classes: 'tram' is nothing the network counts; it counts person, car"):
        run([path], tmp_path / "d", SquareTeacher("square"), LabelConfig(teachers=("square",), classes=("tram",)))
    with pytest.raises(ConfigError, match=r"threshold: person=1.5"):
        run([path], tmp_path / "e", SquareTeacher("s"), LabelConfig(teachers=("s",), thresholds={"person": 1.5}))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4: cannot be read as video"):
        run([text], tmp_path / "f", SquareTeacher("square"))


def test_a_broken_chunk_is_named(tmp_path: Path) -> None:
    path, folder = clip(tmp_path / "walk.mp4"), tmp_path / "labels"
    run([path], folder, SquareTeacher("square"))
    (chunk,) = folder.glob("looks-*/looks-00000.npz")
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(DataError, match=r"looks-00000\.npz: cannot be read .* delete it"):
        run([path], folder, SquareTeacher("square"), LabelConfig(teachers=("square",), fps=10.0, frames=9))


def test_packed_samples_come_back_from_their_file(tmp_path: Path) -> None:
    regions = np.full((8, 12), FIRST_OBJECT, np.uint8)
    box = np.array([[0, 0, 12, 8]], np.float32)
    sample = Sample(np.zeros((8, 12, 3), np.uint8), regions, box, np.array([1]), np.ones(1, np.float32))
    some: PackedSample = pack(sample)
    known = pack(
        Sample(sample.image, regions, box[:0], np.zeros(0, np.int64), np.zeros(0, np.float32), np.array([True]))
    )
    save([KeyedSample("a", some), KeyedSample("b", known)], tmp_path / "some.npz")
    first, second = load(tmp_path / "some.npz")
    assert (first.key, second.key) == ("a", "b")
    assert first.sample.known is None
    assert np.array_equal(second.sample.known, [True])
    assert np.array_equal(unpack(first.sample).regions, regions)
    assert first.sample.boxes.tolist() == box.tolist()
    assert second.sample.boxes.shape == (0, 4)
    save([], tmp_path / "none.npz")
    assert load(tmp_path / "none.npz") == []
    (tmp_path / "some.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="no file of packed pictures"):
        load(tmp_path / "some.npz")


@pytest.mark.shared
def test_yolox_labels_people_in_real_footage(shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "weights" / "yolox_nano_416.onnx"
    teacher = open_teacher(str(model), TAXONOMY)
    assert teacher.knows.all()
    config = LabelConfig(teachers=(str(model),), fps=0.4, frames=12, support=1)
    video = shared_data / "videos" / "one-by-one-person-detection.mp4"
    labelled = label_footage([video], config, TAXONOMY, tmp_path)
    people = sum(int((one.sample.visibility > 0).sum()) for one in labelled.train)
    assert 4 <= len(labelled.train) <= 12
    assert people >= 3


def test_a_recipe_opens_footage_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip(tmp_path / "in" / "walk.mp4")
    labelled = run([tmp_path / "in" / "walk.mp4"], tmp_path / "labels", SquareTeacher("square"))
    monkeypatch.setattr("stages.models.adaptation.footage.label_footage", lambda *_, **__: labelled)
    spec = FootageSpec(files=[str(tmp_path / "in")], teachers=["square.onnx"], hold_out=0.2, cache=str(tmp_path / "c"))
    train, held_out, every = (open_pictures(spec, TAXONOMY, part=part) for part in ("train", "held-out", "all"))
    assert (len(train), len(held_out), len(every)) == (len(labelled.train), 12, len(labelled.train) + 12)
    assert train.key(0) == "walk@0.000"
    assert train[0].boxes.shape == (1, 4)
    assert config_of(spec) == LabelConfig(teachers=("square.onnx",), hold_out=0.2)
    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        open_pictures(FootageSpec(files=["nowhere"], teachers=["x"]), TAXONOMY, part="train")
