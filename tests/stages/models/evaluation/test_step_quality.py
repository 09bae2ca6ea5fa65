"""STQ by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.step_quality import StepQuality, association_quality

CAR, ROAD, VOID = 0, 1, -1


def frame(*rows: list[tuple[int, int]]) -> np.ndarray:
    return np.array(rows, np.int64)


def test_a_perfect_clip_has_full_quality() -> None:
    quality = StepQuality(("car", "road"))
    truth = frame([(CAR, 1), (CAR, 1), (ROAD, 0), (CAR, 2)])
    renamed = frame([(CAR, 8), (CAR, 8), (ROAD, 0), (CAR, 9)])
    quality.add("a", renamed, truth)
    quality.add("a", renamed, truth)
    assert quality.figures() == (pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))


def test_an_identity_that_changes_half_way_counts_half() -> None:
    quality = StepQuality(("car", "road"))
    truth = frame([(CAR, 1), (CAR, 1), (ROAD, 0), (ROAD, 0)])
    for identity in (5, 6):
        quality.add("a", frame([(CAR, identity), (CAR, identity), (ROAD, 0), (ROAD, 0)]), truth)
    # Each of the two found tubes: TPA 2, FPA 0, FNA 2. AQ = (2 * 2/4 + 2 * 2/4) / 4.
    assert quality.figures().aq == pytest.approx(0.5)
    assert quality.figures().stq == pytest.approx(np.sqrt(0.5))


def test_association_by_hand() -> None:
    one, two, x, y = ("a", 1), ("a", 2), ("a", 7), ("a", 8)
    shared = {(one, x): 6, (two, x): 2, (two, y): 3}
    # one: 6 * 6 / (10 + 8 - 6) / 10. two: (2 * 2 / (5 + 8 - 2) + 3 * 3 / (5 + 4 - 3)) / 5.
    expected = (6 * 6 / 12 / 10 + (2 * 2 / 11 + 3 * 3 / 6) / 5) / 2
    assert association_quality({one: 10, two: 5}, {x: 8, y: 4}, shared) == pytest.approx(expected)


def test_the_class_does_not_matter_for_association_and_does_for_segmentation() -> None:
    quality = StepQuality(("car", "road", "bus"))
    quality.add("a", frame([(2, 4), (2, 4), (ROAD, 0)]), frame([(CAR, 1), (CAR, 1), (ROAD, 0)]))
    figures = quality.figures()
    assert figures.aq == pytest.approx(1.0)
    assert figures.sq == pytest.approx(0.5)  # the car's 0 and the road's 1; the truth shows no bus
    assert quality.figures(["road"]).sq == pytest.approx(1.0)


def test_void_shortens_what_was_found() -> None:
    quality = StepQuality(("car", "road"))
    quality.add("a", frame([(CAR, 3), (CAR, 3), (CAR, 3)]), frame([(CAR, 1), (VOID, 0), (VOID, 0)]))
    assert quality.figures().aq == pytest.approx(1.0)


def test_pixels_that_nothing_follows_are_lost() -> None:
    quality = StepQuality(("car", "road"))
    quality.add("a", frame([(CAR, 0), (CAR, 3), (CAR, -4)]), frame([(CAR, 1), (CAR, 1), (CAR, 1)]))
    assert quality.figures().aq == pytest.approx(1 * (1 / 3) / 3)


def test_identities_of_clips_are_apart() -> None:
    quality = StepQuality(("car", "road"))
    truth = frame([(CAR, 1), (ROAD, 0)])
    quality.add("a", frame([(CAR, 1), (ROAD, 0)]), truth)
    quality.add("b", frame([(CAR, 1), (ROAD, 0)]), truth)
    assert quality.figures().aq == pytest.approx(1.0)


def test_without_objects_or_frames_there_is_none() -> None:
    quality = StepQuality(("car", "road"))
    assert quality.figures() == (None, None, None)
    quality.add("a", frame([(ROAD, 0)]), frame([(ROAD, 0)]))
    assert quality.figures() == (None, None, pytest.approx(1.0))


# The authors' own examples: five pixels of one car, or one of sky and four of it, and what they are followed as. The
# figures are those of their evaluation, which knows a crowd by a thing without an identity; here that is void. It also
# counts a class that is found and not there, with IoU 0; here that is none.
FIVE = [(CAR, 1)] * 5
SKY = 1


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        (FIVE, [(CAR, one) for one in (1, 1, 1, 1, 1)], (1.0, 1.0, 1.0)),
        (FIVE, [(CAR, one) for one in (1, 1, 2, 2, 2)], (0.72111026, 0.52, 1.0)),
        (FIVE, [(CAR, one) for one in (1, 2, 2, 2, 2)], (0.82462113, 0.68, 1.0)),
        (FIVE, [(CAR, one) for one in (1, 2, 3, 4, 5)], (0.447213596, 0.2, 1.0)),
        (FIVE, [(CAR, one) for one in (1, 2, 1, 2, 2)], (0.72111026, 0.52, 1.0)),
        (FIVE, [(SKY, 0)] + [(CAR, 1)] * 4, ((0.64 * 0.8) ** 0.5, 0.64, 0.8)),  # theirs: SQ 0.4, with the sky's 0
        ([(VOID, 0), *FIVE], [(CAR, 1)] * 6, (1.0, 1.0, 1.0)),
        ([(VOID, 0), *FIVE], [(CAR, one) for one in (2, 2, 2, 2, 1, 1)], (0.72111026, 0.52, 1.0)),
        ([(SKY, 0), *FIVE[1:]], FIVE, (0.56568542, 0.8, 0.4)),
        ([(SKY, 0), *FIVE[1:]], [(CAR, one) for one in (2, 2, 2, 1, 1)], (0.42426407, 0.45, 0.4)),
        ([(SKY, 0), *FIVE[1:]], [(CAR, 2), (CAR, 2), (SKY, 0), (CAR, 1), (CAR, 1)], (0.3, 0.3, 0.3)),
    ],
    ids=[
        "whole", "switch", "early switch", "never the same", "to and fro", "partly lost",
        "beside void", "switch beside void", "too large", "too large and a switch", "all of it",
    ],
)  # fmt: skip
def test_examples_of_the_authors(
    truth: list[tuple[int, int]], found: list[tuple[int, int]], expected: tuple[float, float, float]
) -> None:
    for split in (len(truth), 1):  # a frame of all pixels, and a frame for each
        quality = StepQuality(("car", "sky"))
        for first in range(0, len(truth), split):
            quality.add("a", frame(found[first : first + split]), frame(truth[first : first + split]))
        assert quality.figures() == pytest.approx(expected)
