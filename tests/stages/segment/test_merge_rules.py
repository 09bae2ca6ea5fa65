"""The three merge rules on grids worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.messages import Classes, Detections, PanopticMap, Prototypes, SemanticMap, Transform
from stages.segment.merge import (
    channel_labels,
    label_pixels,
    merge_boxes,
    merge_instances,
    merge_prototypes,
    merge_queries,
)

CLASSES = Classes(("person", "car"), ("road", "sky"))
PERSON, CAR, ROAD, SKY = range(4)
SAME = Transform()


def grid(text: str) -> np.ndarray:
    """Rows of single digits; '.' is -1, void."""
    return np.array([[-1 if c == "." else int(c) for c in row.split()[0]] for row in text.split()], dtype=np.int32)


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    """Detections of (box, score, label)."""
    boxes = np.array([r[0] for r in rows], dtype=np.float32).reshape(-1, 4)
    scores, labels = np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int32)
    return Detections.of(boxes, scores, labels)


def shown(panoptic: PanopticMap) -> str:
    """The id map as rows of digits."""
    return " ".join("".join(str(i) for i in row) for row in panoptic.ids)


ANYWHERE = (0.0, 0.0, 9.0, 9.0)


class TestInstances:
    def merge(self, masks: list[str], detections: Detections, label_at: str, **options: float) -> PanopticMap:
        stacked = np.array([grid(m) == 1 for m in masks]).reshape(len(masks), *grid(label_at).shape)
        options = {"min_stuff_area": 0.0, **options}
        return merge_instances(stacked, detections, grid(label_at), classes=CLASSES, transform=SAME, **options)

    def test_the_better_paints_first_and_stuff_takes_the_rest(self) -> None:
        # The second detection is better: it paints its four pixels. The first has 4 pixels, of which 2 are taken:
        # exactly half, not past it, so it takes its free two. Road (2) and sky (3) share what is left.
        out = self.merge(
            ["0000 1100 1100", "0000 0110 0110"],
            found((ANYWHERE, 0.6, PERSON), (ANYWHERE, 0.9, CAR)),
            "3333 2222 2222",
        )
        assert shown(out) == "4444 2113 2113"
        s = out.segments
        assert s.ids.tolist() == [1, 2, 3, 4]
        assert s.labels.tolist() == [CAR, PERSON, ROAD, SKY]
        assert s.is_thing.tolist() == [True, True, False, False]
        assert s.detection_index.tolist() == [1, 0, -1, -1]
        assert s.areas.tolist() == [4, 2, 2, 4]
        assert s.scores.tolist() == np.array([0.9, 0.6, 1, 1], np.float32).tolist()
        assert s.boxes.tolist() == [[1, 1, 3, 3], [0, 1, 1, 3], [3, 1, 4, 3], [0, 0, 4, 1]]

    def test_past_half_taken_is_skipped(self) -> None:
        out = self.merge(
            ["111000", "011100", "011110"],
            found((ANYWHERE, 0.9, CAR), (ANYWHERE, 0.8, CAR), (ANYWHERE, 0.7, CAR)),
            "......",
        )  # of the second 2/3 are taken; it paints nothing, so of the third only 2/4 are
        assert shown(out) == "111220"
        assert out.segments.detection_index.tolist() == [0, 2]

    def test_ties_fall_to_the_lower_row(self) -> None:
        out = self.merge(["110", "111"], found((ANYWHERE, 0.9, CAR), (ANYWHERE, 0.9, PERSON)), "222")
        assert shown(out) == "112"
        assert out.segments.labels.tolist() == [CAR, ROAD]

    def test_full_overlap(self) -> None:
        out = self.merge(["111", "111"], found((ANYWHERE, 0.5, CAR), (ANYWHERE, 0.6, PERSON)), "222")
        assert shown(out) == "111"
        assert out.segments.labels.tolist() == [PERSON]
        assert self.merge(
            ["111", "111"], found((ANYWHERE, 0.5, CAR), (ANYWHERE, 0.6, PERSON)), "222", max_overlap=1.0
        ).segments.labels.tolist() == [PERSON]

    def test_an_empty_mask_and_a_low_score_paint_nothing(self) -> None:
        out = self.merge(["000", "111"], found((ANYWHERE, 0.9, CAR), (ANYWHERE, 0.3, CAR)), "222")
        assert shown(out) == "111"
        assert out.segments.labels.tolist() == [ROAD]

    def test_stuff_below_its_area_and_thing_pixels_stay_void(self) -> None:
        out = self.merge([], found(), "2223 1122", min_stuff_area=0.25)
        assert shown(out) == "1110 0011"
        assert out.segments.labels.tolist() == [ROAD]
        assert out.segments.areas.tolist() == [5]

    def test_nothing_anywhere(self) -> None:
        out = self.merge([], found(), ".... ....")
        assert shown(out) == "0000 0000"
        assert len(out.segments) == 0


class TestBoxes:
    def merge(self, detections: Detections, label_at: str, **options: float) -> PanopticMap:
        options = {"min_stuff_area": 0.0, **options}
        return merge_boxes(detections, grid(label_at), classes=CLASSES, transform=SAME, **options)

    def test_a_thing_is_its_class_in_its_box_and_the_rest_is_void(self) -> None:
        out = self.merge(
            found(((1, 0, 4, 3), 0.9, CAR)),
            """22222
               21112
               21112
               00111""",
        )
        assert shown(out) == "22222 21112 21112 00000"
        assert out.segments.labels.tolist() == [CAR, ROAD]

    def test_a_pixel_belongs_to_a_box_with_its_centre(self) -> None:
        assert shown(self.merge(found(((0.6, 0, 3.4, 1), 0.9, CAR)), "11111")) == "01100"
        assert shown(self.merge(found(((0.5, 0, 3.5, 1), 0.9, CAR)), "11111")) == "11100"

    def test_the_better_box_takes_shared_pixels(self) -> None:
        out = self.merge(found(((0, 0, 3, 1), 0.6, CAR), ((2, 0, 5, 1), 0.9, CAR)), "11111")
        assert shown(out) == "22111"
        assert out.segments.detection_index.tolist() == [1, 0]

    def test_of_equal_boxes_the_first_stays(self) -> None:
        out = self.merge(found(((0, 0, 3, 1), 0.9, CAR), ((0, 0, 3, 1), 0.9, CAR)), "11111")
        assert shown(out) == "11100"
        assert out.segments.detection_index.tolist() == [0]

    def test_classes_do_not_take_each_others_pixels(self) -> None:
        out = self.merge(found(((0, 0, 4, 1), 0.9, CAR), ((0, 0, 4, 1), 0.8, PERSON)), "0011")
        assert shown(out) == "2211"

    def test_boxes_outside_the_picture(self) -> None:
        outside = [((-9, -9, -1, -1), 0.9, CAR), ((50, 50, 60, 60), 0.9, CAR), ((-1e30, -5, 1e30, 1), 0.8, CAR)]
        out = self.merge(found(*outside), "111 111")  # type: ignore[arg-type]
        assert shown(out) == "111 000"
        assert out.segments.detection_index.tolist() == [2]

    def test_inside_out_and_empty_boxes(self) -> None:
        assert shown(self.merge(found(((2, 1, 1, 0), 0.9, CAR), ((1, 1, 1, 1), 0.9, CAR)), "111 111")) == "000 000"


class TestQueries:
    CLASS_LOGITS = np.array(
        # person, car, road, sky, none
        [
            [0, 0, 9, 0, 0],  # road
            [0, 9, 0, 0, 0],  # car
            [0, 0, 0, 0, 9],  # nothing
            [2, 1, 0, 0, 1],  # person, 0.498
        ],
        dtype=np.float32,
    )

    def merge(self, masks: list[list[int]], **options: float) -> tuple[PanopticMap, Detections]:
        logits = np.array(masks, dtype=np.float32)[:, None, :]
        return merge_queries(logits, self.CLASS_LOGITS[: len(masks)], classes=CLASSES, transform=SAME, **options)

    def test_the_largest_product_wins_a_pixel(self) -> None:
        # road and car are equally sure: the larger mask logit wins. At the last pixel both are below one half: void.
        out, things = self.merge([[9, 9, 1, -3], [-9, -9, 9, -5], [9, 9, 9, 9]], min_visible=0.5)
        assert shown(out) == "1120"
        assert out.segments.labels.tolist() == [ROAD, CAR]
        assert out.segments.detection_index.tolist() == [-1, 0]
        assert out.segments.scores[0] == 1
        assert things.boxes.tolist() == [[2, 0, 3, 1]]
        assert things.labels.tolist() == [CAR]
        assert things.scores == pytest.approx([np.exp(9) / (np.exp(9) + 4)], rel=1e-6)

    def test_a_query_mostly_hidden_is_skipped(self) -> None:
        # The car wins 2 of the 4 pixels of its mask: half, less than 0.8.
        out, things = self.merge([[9, 9, -9, -9], [5, 5, 5, 5]])
        assert shown(out) == "1100"
        assert len(things) == 0
        out, things = self.merge([[9, 9, -9, -9], [5, 5, 5, 5]], min_visible=0.5)
        assert shown(out) == "1122"
        assert len(things) == 1

    def test_a_doubtful_query_is_filtered_before_it_can_win(self) -> None:
        out, _ = self.merge([[9, 1, 1, 1], [-9] * 4, [-9] * 4, [9, 9, 9, 9]])
        assert shown(out) == "1111"
        out, _ = self.merge([[9, -9, -9, -9], [-9] * 4, [-9] * 4, [-9, 9, 9, 9]], score_threshold=0.45)
        assert shown(out) == "1222"

    def test_stuff_of_one_label_is_one_segment(self) -> None:
        logits = np.array([[[9, -9, -9]], [[-9, -9, 9]], [[-9, 9, -9]]], dtype=np.float32)
        labels = self.CLASS_LOGITS[[0, 0, 1]]
        out, _ = merge_queries(logits, labels, classes=CLASSES, transform=SAME)
        assert shown(out) == "121"
        assert out.segments.areas.tolist() == [2, 1]

    def test_ties_fall_to_the_lower_query(self) -> None:
        logits = np.full((2, 1, 3), 4, dtype=np.float32)
        out, things = merge_queries(logits, self.CLASS_LOGITS[[1, 1]], classes=CLASSES, transform=SAME)
        assert shown(out) == "111"
        assert len(things) == 1

    def test_no_query_is_left_or_given(self) -> None:
        for count in (0, 1):
            out, things = merge_queries(
                np.zeros((count, 2, 3), np.float32), self.CLASS_LOGITS[2 : 2 + count], classes=CLASSES, transform=SAME
            )
            assert shown(out) == "000 000"
            assert len(out.segments) == len(things) == 0

    def test_the_number_of_classes_is_checked(self) -> None:
        with pytest.raises(ValueError, match=r"class_logits has 4 columns; 4 classes \+ 1"):
            merge_queries(
                np.zeros((1, 2, 2), np.float32), np.zeros((1, 4), np.float32), classes=CLASSES, transform=SAME
            )


class TestLabels:
    def test_ties_fall_to_the_first_channel_and_padding_is_left_out(self) -> None:
        logits = np.zeros((3, 3, 4), dtype=np.float32)
        logits[2, 0, 0] = 1
        semantic = SemanticMap(logits, SAME, valid_height=2, valid_width=3)
        labels = channel_labels([ROAD, SKY, None], CLASSES)
        assert label_pixels(semantic, labels).tolist() == [[-1, ROAD, ROAD], [ROAD, ROAD, ROAD]]

    def test_leftover_stuff_passes_over_things(self) -> None:
        semantic = SemanticMap(np.array([[[3]], [[2]], [[1]], [[9]]], np.float32), SAME, 1, 1)
        to_stuff = channel_labels([PERSON, SKY, ROAD, None], CLASSES, leftover="stuff")
        assert label_pixels(semantic, to_stuff).tolist() == [[SKY]]
        assert label_pixels(semantic, channel_labels([PERSON, SKY, ROAD, None], CLASSES)).tolist() == [[-1]]

    def test_twice_the_size_is_interpolated(self) -> None:
        # One row of two pixels, 0 and 8, against a constant 3: doubled, the first channel is 0, 2, 6, 8.
        logits = np.array([[[0, 8]], [[3, 3]]], dtype=np.float32)
        labels = channel_labels([ROAD, SKY], CLASSES)
        out = label_pixels(SemanticMap(logits, SAME, 1, 2), labels, scale=2)
        assert out.tolist() == [[SKY, SKY, ROAD, ROAD]] * 2

    def test_an_unknown_label_is_named(self) -> None:
        with pytest.raises(ValueError, match="semantic_labels has 7; 0 to 3 or None"):
            channel_labels([7], CLASSES)


class TestPrototypes:
    def test_a_mask_is_a_weighted_sum_inside_its_box(self) -> None:
        prototypes = Prototypes(
            np.array([[[1, 1, 1, 1]], [[0, 0, 1, 1]]], np.float32), Transform(10, 10), valid_height=1, valid_width=4
        )
        boxes = np.array([[0, 0, 30, 10]], np.float32)  # source pixels: map columns 0 to 2
        coefficients = np.array([[-1, 2]], np.float32)  # -1 -1 1 1
        detections = Detections.of(boxes, np.ones(1, np.float32), np.zeros(1, np.int32), coefficients=coefficients)
        out = merge_prototypes(prototypes, detections, np.full((1, 4), ROAD, np.int32), classes=CLASSES)
        assert shown(out) == "2212"
        assert out.segments.boxes[0].tolist() == [20, 0, 30, 10]

    def test_without_coefficients_nothing_is_painted(self) -> None:
        prototypes = Prototypes(np.ones((2, 2, 2), np.float32), SAME, 2, 2)
        out = merge_prototypes(
            prototypes, found((ANYWHERE, 0.9, CAR)), np.full((2, 2), ROAD, np.int32), classes=CLASSES
        )
        assert shown(out) == "11 11"

    def test_sizes_that_do_not_meet_are_named(self) -> None:
        prototypes = Prototypes(np.ones((2, 2, 2), np.float32), SAME, 2, 2)
        with pytest.raises(ValueError, match=r"label_at is \[2, 2\]; \[4, 4\], 2 times"):
            merge_prototypes(prototypes, found(), np.zeros((2, 2), np.int32), classes=CLASSES, scale=2)
        wrong = Detections.of(
            np.zeros((1, 4), np.float32),
            np.ones(1, np.float32),
            np.zeros(1, np.int32),
            coefficients=np.zeros((1, 3), np.float32),
        )
        with pytest.raises(ValueError, match="3 coefficients a detection for 2 prototypes"):
            merge_prototypes(prototypes, wrong, np.zeros((2, 2), np.int32), classes=CLASSES)
