"""Labels of a frame as a picture with truth: boxes, doubt, and the pixels of a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, ModelError
from pipeline.messages import Classes, PanopticMap, Segments, Transform
from stages.models.adaptation.following import FrameLabels
from stages.models.adaptation.mapper import SegmenterMapper, of_objects, open_mapper
from stages.models.adaptation.samples import LARGEST_SIDE, as_detections, sample_of
from stages.models.adaptation.teacher import DetectorTeacher, checksum_of
from stages.models.evaluation.subject import relabelling
from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS
from stages.models.labelled.taxonomy import Taxonomy, world_taxonomy
from stages.models.labelled.world import sample_of as sample_of_world
from stages.models.world import World

TAXONOMY = Taxonomy(
    classes=Classes(("person", "car"), ("road", "other")), gathers={"person": ("rider",), "other": ("boat",)}
)
KNOWN = np.array([True, True])


def labels(
    boxes: list[list[float]], *, certain: list[bool] | None = None, kinds: list[int] | None = None
) -> FrameLabels:
    count = len(boxes)
    return FrameLabels(
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(kinds or [0] * count, np.int64),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.array(certain if certain is not None else [True] * count, np.bool_),
    )


def panoptic(rows: list[int]) -> PanopticMap:
    """On 8 x 6 cells of 2 pixels: road, people in cells [1:4, 2:4] and [1:4, 6:8], of these rows of the objects."""
    ids = np.ones((6, 8), np.uint16)
    ids[1:4, 2:4] = 2
    ids[1:4, 6:8] = 3
    segments = Segments(
        ids=np.array([1, 2, 3], np.int32),
        labels=np.array([2, 0, 0], np.int32),
        is_thing=np.array([False, True, True]),
        scores=np.ones(3, np.float32),
        areas=np.array([36, 6, 6], np.int32),
        boxes=np.array([[0, 0, 16, 12], [4, 2, 8, 8], [12, 2, 16, 8]], np.float32),
        detection_index=np.array(rows, np.int32),
        track_ids=np.full(3, -1, np.int64),
    )
    return PanopticMap(ids, segments, Transform(2.0, 2.0))


def test_pixels_go_to_their_object_in_the_samples_order_and_ground_to_its_class() -> None:
    frame = np.zeros((12, 16, 3), np.uint8)
    found = labels([[12, 2, 16, 8], [4, 2, 8, 8]], certain=[False, True])
    sample = sample_of(frame, found, taxonomy=TAXONOMY, known=KNOWN, panoptic=panoptic([-1, 1, -1]))
    assert sample.boxes[0].tolist() == [4, 2, 8, 8]
    assert (sample.regions[2:8, 4:8] == FIRST_OBJECT).all()
    assert (sample.regions[2:8, 12:16] == 0).all()  # a thing of no object is void
    assert (sample.regions[:2] == TAXONOMY.region(2)).all()
    other = sample_of(frame, found, taxonomy=TAXONOMY, known=KNOWN, panoptic=panoptic([-1, -1, 0]))
    assert (other.regions[2:8, 12:16] == FIRST_OBJECT + 1).all()


def test_segments_of_a_network_find_the_objects_whose_boxes_they_fill() -> None:
    classes = Classes(("car", "rider", "horse"), ("road", "boat"))
    names = relabelling(classes, TAXONOMY)
    assert names.tolist() == [1, 0, -1, 2, 3]
    own = Segments(
        ids=np.array([1, 2, 3, 4], np.int32),
        labels=np.array([3, 1, 2, 1], np.int32),
        is_thing=np.array([False, True, True, True]),
        scores=np.ones(4, np.float32),
        areas=np.ones(4, np.int32),
        boxes=np.array([[0, 0, 16, 12], [4, 2, 8, 8], [12, 2, 16, 8], [0, 0, 2, 2]], np.float32),
        detection_index=np.array([-1, 5, 6, 7], np.int32),
        track_ids=np.full(4, -1, np.int64),
    )
    objects = as_detections(labels([[12, 2, 16, 8], [4, 2, 8, 9]], kinds=[1, 0]))
    told = of_objects(own, names, objects)
    assert told.ids.tolist() == [1, 2, 4]  # nobody here knows a horse
    assert told.labels.tolist() == [2, 0, 0]
    assert told.detection_index.tolist() == [-1, 1, -1]


def test_the_embedded_network_gives_its_own_masks_to_objects() -> None:
    taxonomy = world_taxonomy()
    mapper = open_mapper("everyframe-nano", taxonomy)
    overlaps = []
    for seed in (14, 16):
        truth = sample_of_world(World(seed, split="train", width=640, height=360).render())
        sure = np.ones(len(truth.labels), np.bool_)
        found = FrameLabels(truth.boxes, truth.labels, sure.astype(np.float32), sure)
        sample = sample_of(
            truth.image,
            found,
            taxonomy=taxonomy,
            known=np.ones(len(taxonomy.things), np.bool_),
            panoptic=mapper.map(truth.image, as_detections(found)),
        )
        right = (sample.regions > 0) & (sample.regions < FIRST_OBJECT) & (sample.regions == truth.regions)
        assert right.sum() > 0.5 * (truth.regions < FIRST_OBJECT).sum()
        for row in np.flatnonzero((truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1) > 1000).tolist():
            its = truth.regions == FIRST_OBJECT + row
            same = np.flatnonzero((sample.boxes == truth.boxes[row]).all(1))
            mine = sample.regions == FIRST_OBJECT + int(same[0])
            overlaps.append((mine & its).sum() / (mine | its).sum())
    assert len(overlaps) > 5
    assert np.median(overlaps) > 0.5


def test_without_a_map_pixels_are_void_and_doubt_is_kept() -> None:
    frame = np.full((12, 16, 3), 7, np.uint8)
    sample = sample_of(
        frame, labels([[4, 2, 8, 8], [-3, 0, 40, 5]], certain=[False, True]), taxonomy=TAXONOMY, known=KNOWN
    )
    assert not sample.regions.any()
    assert sample.boxes.tolist() == [[0, 0, 16, 5], [4, 2, 8, 8]]  # certain first, cut to the frame
    assert sample.visibility.tolist() == [1.0, 0.0]
    assert sample.known is not None
    assert sample.known.all()


def test_a_large_frame_is_kept_smaller_and_too_many_boxes_are_the_surest() -> None:
    frame = np.zeros((1080, 1920, 3), np.uint8)
    many = labels([[i, 0, i + 100, 100] for i in range(MAX_OBJECTS + 5)])
    sample = sample_of(frame, many, taxonomy=TAXONOMY, known=KNOWN)
    assert sample.image.shape == (540, LARGEST_SIDE, 3)
    assert len(sample.boxes) == MAX_OBJECTS
    assert sample.boxes[0].tolist() == [0, 0, 50, 50]


def test_a_teachers_names_are_read_by_the_taxonomy() -> None:
    teacher = DetectorTeacher("t", [], ["rider", "boat", "horse"], TAXONOMY)
    assert teacher.knows.tolist() == [True, False]  # a boat is ground here, and no object
    with pytest.raises(DataError, match=r"teacher t: it knows none of the classes person, car; it finds boat, horse"):
        DetectorTeacher("t", [], ["boat", "horse"], TAXONOMY)


def test_a_model_is_told_from_another_by_its_content(tmp_path: Path) -> None:
    for name, content in (("a.onnx", b"1"), ("b.onnx", b"1"), ("c.onnx", b"2")):
        (tmp_path / name).write_bytes(content)
    sums = [checksum_of(str(tmp_path / name)) for name in ("a.onnx", "b.onnx", "c.onnx")]
    assert sums[0] == sums[1] != sums[2]
    assert checksum_of("torchvision:retinanet_resnet50_fpn") == "torchvision:retinanet_resnet50_fpn"
    with pytest.raises(ModelError, match=r"none\.onnx"):
        checksum_of(str(tmp_path / "none.onnx"))


@pytest.mark.shared
def test_a_segmenter_fills_the_boxes_of_people(shared_data: Path) -> None:
    from stages.models.adaptation.video import frames_of

    mapper = SegmenterMapper(str(shared_data / "weights" / "deeplabv3_257_voc.onnx"), TAXONOMY)
    video = shared_data / "videos" / "one-by-one-person-detection.mp4"
    (shown,) = frames_of(video, fps=1, wanted=frozenset({127}))
    person = labels([[350, 0, 535, 410]])
    found = mapper.map(shown.rgb, as_detections(person))
    sample = sample_of(shown.rgb, person, taxonomy=TAXONOMY, known=KNOWN, panoptic=found)
    mine = sample.regions == FIRST_OBJECT
    assert mine.sum() > 10_000
    rows, columns = np.nonzero(mine)
    assert columns.min() >= 348
    assert columns.max() <= 536
    assert rows.max() <= 411
