"""VPQ by hand, and beside a slow reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from stages.models.evaluation.panoptic_quality import PanopticQuality
from stages.models.evaluation.video_quality import WINDOWS, VideoQuality
from tests.stages.models.evaluation.made import disturbed, panoptic

CAR, ROAD, VOID = 0, 1, -1
NAMES = ("car", "road")
Pixels = set[tuple[int, int, int]]


def frame(*rows: list[tuple[int, int]]) -> np.ndarray:
    return np.array(rows, np.int64)


def quality(*windows: int) -> VideoQuality:
    return VideoQuality(NAMES, things=1, windows=windows)


def test_a_perfect_clip_has_full_quality_whatever_its_identities_are_called() -> None:
    video = VideoQuality(NAMES, things=1)
    for _ in range(max(WINDOWS)):
        video.add("a", frame([(CAR, 7), (CAR, 9), (ROAD, 0)]), frame([(CAR, 1), (CAR, 2), (ROAD, 0)]))
    full = pytest.approx(1.0)
    assert video.figures() == (full, full, full, dict.fromkeys(WINDOWS, full))
    assert video.by_class() == {"car": full, "road": full}


def test_an_identity_that_changes_costs_the_windows_it_changes_in() -> None:
    video = quality(1, 2)
    for identity in (5, 5, 6, 6):
        video.add("a", frame([(CAR, identity), (CAR, identity), (ROAD, 0)]), frame([(CAR, 1), (CAR, 1), (ROAD, 0)]))
    # k = 2: of three windows two are right; in the middle one each found tube is just half: 1 missed, 2 false.
    of_cars = 2 / (2 + 2 / 2 + 1 / 2)
    figures = video.figures()
    assert figures.by_window == {1: pytest.approx(1.0), 2: pytest.approx((of_cars + 1) / 2)}
    assert figures.things == pytest.approx((1 + of_cars) / 2)
    assert figures.stuff == pytest.approx(1.0)
    assert figures.vpq == pytest.approx((1 + (of_cars + 1) / 2) / 2)
    assert video.by_class() == {"car": pytest.approx((1 + of_cars) / 2), "road": pytest.approx(1.0)}
    assert video.figures(["road"]).vpq == pytest.approx(1.0)


def test_a_tube_may_miss_a_frame_and_is_judged_by_all_of_them() -> None:
    video = quality(3)
    truth = frame([(CAR, 1), (CAR, 1), (ROAD, 0), (ROAD, 0)])
    for found in (
        [(CAR, 4), (CAR, 4), (CAR, 4), (ROAD, 0)],
        [(ROAD, 0)] * 4,
        [(CAR, 4), (CAR, 4), (ROAD, 0), (ROAD, 0)],
    ):
        video.add("a", frame(found), truth)
    # Cars: 4 shared of 6 + 5 - 4. Road: 1 + 2 + 2 shared of 6 + 7 - 5.
    assert video.by_class() == {"car": pytest.approx(4 / 7), "road": pytest.approx(5 / 8)}


def test_void_belongs_to_no_union_and_excuses_what_lies_in_it() -> None:
    video = quality(2)
    truth = frame([(CAR, 1), (VOID, 0), (VOID, 0), (ROAD, 0)])
    video.add("a", frame([(CAR, 3), (CAR, 3), (CAR, 8), (ROAD, 0)]), truth)
    video.add("a", frame([(CAR, 3), (ROAD, 0), (CAR, 8), (ROAD, 0)]), truth)
    assert video.by_class() == {"car": pytest.approx(1.0), "road": pytest.approx(1.0)}


def test_what_nothing_follows_is_another_tube_in_every_frame_and_its_neighbours_too() -> None:
    video = quality(1, 2)
    truth = frame([(CAR, 1), (CAR, 2), (ROAD, 0)])
    for _ in range(2):
        video.add("a", frame([(CAR, -1), (CAR, -2), (ROAD, 0)]), truth)
    assert video.figures().by_window[1] == pytest.approx(1.0)
    # k = 2: four found tubes, each exactly half of a true one.
    assert video.figures().by_window[2] == pytest.approx((0 + 1) / 2)


def test_identities_of_clips_are_apart_and_a_window_stays_within_one() -> None:
    video = quality(2)
    both = frame([(CAR, 1), (ROAD, 0)])
    video.add("a", both, both)
    video.add("b", frame([(ROAD, 0), (CAR, 1)]), both)
    assert video.figures() == (None, None, None, {2: None})
    video.add("a", both, both)
    assert video.figures().vpq == pytest.approx(1.0)


def test_a_clip_shorter_than_a_window_has_no_quality_of_its_length() -> None:
    video = quality(1, 5)
    video.add("a", frame([(CAR, 1), (ROAD, 0)]), frame([(CAR, 1), (ROAD, 0)]))
    assert video.figures().by_window == {1: pytest.approx(1.0), 5: None}
    assert video.figures().vpq == pytest.approx(1.0)


def test_what_is_found_of_a_class_left_open_in_any_frame_is_not_held_against_it() -> None:
    truth, found = frame([(ROAD, 0)] * 4), frame([(ROAD, 0), (ROAD, 0), (ROAD, 0), (CAR, 3)])
    for labels, false in (((), 1), ((CAR,), 0)):
        video = quality(2)
        video.add("a", found, truth, open_labels=labels)
        video.add("a", found, truth)
        assert video._sums[2]._sum.false.tolist() == [false, 0]


def test_without_frames_there_is_none() -> None:
    assert quality(1).figures() == (None, None, None, {1: None})


@pytest.mark.parametrize("seed", range(4))
def test_windows_of_one_frame_have_the_quality_of_pictures(seed: int) -> None:
    video, pictures = VideoQuality("abcdef", things=3, windows=(1,)), PanopticQuality("abcdef", things=3)
    for found, truth in _clip(np.random.default_rng(seed), frames=5):
        video.add("a", found, truth)
        pictures.add(found, truth)
    assert video.by_class() == {name: row["pq"] for name, row in pictures.by_class().items()}


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_quality_is_that_of_a_slow_reference(seed: int, k: int) -> None:
    video = VideoQuality("abcdef", things=3, windows=(k,))
    clips = [list(_clip(np.random.default_rng((seed, clip)), frames=6)) for clip in range(2)]
    for number, clip in enumerate(clips):
        for found, truth in clip:
            video.add(str(number), found, truth)
    expected = _slow(clips, k)
    found_any = video.by_class()
    assert {name: value for name, value in found_any.items() if value is not None} == pytest.approx(expected)
    assert 0.1 < np.mean(list(expected.values())) < 0.95


def _clip(rng: np.random.Generator, *, frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Found and true maps [24, 32, 2] of things that move; some of the found ones change their identity."""
    still = panoptic(rng, things=3, classes=6, size=(24, 32))
    still[still[..., 0] >= 3, 1] = 0
    for number in range(frames):
        truth = np.roll(still, number, 1)
        found = disturbed(rng, truth, by=1)
        found[found[..., 0] >= 3, 1] = 0
        changed = (found[..., 1] > 0) & (found[..., 1] % 3 == number % 3)
        found[..., 1] += 10 * changed
        found[found[..., 0] == VOID, 1] = 0
        yield found, truth


def _slow(clips: list[list[tuple[np.ndarray, np.ndarray]]], k: int) -> dict[str, float]:
    """By sets of pixels, window by window; of the classes that the truth shows."""
    iou, counts, shown = defaultdict(float), defaultdict(float), set()
    for clip in clips:
        for start in range(len(clip) - k + 1):
            found, _ = _tubes([found for found, _ in clip[start : start + k]])
            true, void = _tubes([truth for _, truth in clip[start : start + k]])
            matched = set()
            for key, pixels in true.items():
                shown.add(key[0])
                counts[key[0]] += 0.5
                for other, guess in found.items():
                    share = len(pixels & guess) / len(pixels | (guess - void))
                    if other[0] == key[0] and share > 0.5:
                        matched.add(other)
                        iou[key[0]] += share
            for key, guess in found.items():
                if key in matched or 2 * len(guess & void) <= len(guess):
                    counts[key[0]] += 0.5
    return {"abcdef"[label]: iou[label] / counts[label] for label in sorted(shown)}


def _tubes(frames: list[np.ndarray]) -> tuple[dict[tuple[int, int], Pixels], Pixels]:
    tubes: dict[tuple[int, int], Pixels] = defaultdict(set)
    void: Pixels = set()
    for number, labelled in enumerate(frames):
        for y, x in np.ndindex(labelled.shape[:2]):
            label, identity = labelled[y, x].tolist()
            (void if label == VOID else tubes[label, identity]).add((number, y, x))
    return tubes, void
