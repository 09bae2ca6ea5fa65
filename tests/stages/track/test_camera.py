"""A camera's own motion: told from pictures, and tracks that stay on their objects through it."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Detections, Frame, Surface, TrackState
from stages.track import Track
from stages.track.camera import CameraMotion

WIDTH, HEIGHT = 960, 540


def scenery(seed: int = 0) -> np.ndarray:
    """A picture [HEIGHT, WIDTH, 3] full of corners."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for _ in range(150):
        x, y, w, h = rng.integers(0, WIDTH), rng.integers(0, HEIGHT), rng.integers(10, 80), rng.integers(10, 80)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), rng.integers(0, 255, 3).tolist(), -1)
    return picture


def moved(picture: np.ndarray, camera: np.ndarray) -> Surface:
    """What it looks like after the camera moved by [2, 3]."""
    return surface(cv2.warpAffine(picture, camera, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))


def surface(picture: np.ndarray) -> Surface:
    return Surface("rgb24", (picture,))


def shift(x: float, y: float, *, degrees: float = 0.0, scale: float = 1.0) -> np.ndarray:
    turn = np.asarray(cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, scale), np.float64)
    turn[:, 2] += np.array([x, y])
    return turn


@pytest.mark.parametrize(
    "camera", [shift(14, -6), shift(-3, 2, degrees=1.5), shift(0, 0, scale=1.03), shift(30, 12, degrees=-1, scale=0.98)]
)
def test_the_motion_is_found(camera: np.ndarray) -> None:
    picture, watch = scenery(), CameraMotion()
    watch.moved(surface(picture), np.zeros((0, 4), np.float32))
    found = watch.moved(moved(picture, camera))
    assert found is not None
    corners = np.array([[0, 0, 1], [WIDTH, 0, 1], [0, HEIGHT, 1], [WIDTH, HEIGHT, 1]], float)
    assert np.abs(corners @ found.T - corners @ camera.T).max() < 1.5


def test_a_still_camera_has_none_and_so_has_the_first_picture() -> None:
    picture, watch = scenery(), CameraMotion()
    assert watch.moved(surface(picture)) is None
    watch.moved(surface(picture), np.zeros((0, 4), np.float32))
    assert watch.moved(surface(picture)) is None


def test_what_moves_in_a_box_is_no_motion_of_the_camera() -> None:
    """Most corners are on one large object that goes its way."""
    picture, watch = np.full((HEIGHT, WIDTH, 3), 120, np.uint8), CameraMotion()
    scene = scenery()
    picture[:, :260] = scene[:, :260]
    picture[60:500, 300:800] = scene[60:500, 300:800]
    later = picture.copy()
    later[:, 300:] = 120
    later[60:500, 330:830] = scene[60:500, 300:800]
    watch.moved(surface(picture), np.array([[300, 60, 800, 500]], np.float32))
    assert watch.moved(surface(later)) is None


@pytest.mark.parametrize("other", [scenery(1), np.zeros((HEIGHT, WIDTH, 3), np.uint8), scenery()[:360, :640].copy()])
def test_another_picture_tells_of_no_motion(other: np.ndarray) -> None:
    watch = CameraMotion()
    watch.moved(surface(scenery()), np.zeros((0, 4), np.float32))
    assert watch.moved(surface(other)) is None


def test_a_picture_without_corners_is_kept_all_the_same() -> None:
    watch = CameraMotion()
    blank = surface(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    watch.moved(blank, np.zeros((0, 4), np.float32))
    assert watch.moved(surface(scenery())) is None
    watch.moved(blank, np.array([[np.nan, 0, 10, 10], [-50, -50, 9000, 9000]], np.float32))
    assert watch.moved(surface(scenery())) is None


def jolted(config: TrackerConfig, *, skip: bool = False) -> list[list[int]]:
    """The ids of one object while its camera swings by more than the object's width a frame, back and forth."""
    picture, stage, ids = scenery(), Track(config), []
    for seq in range(12):
        x = 70.0 * (seq % 2)
        analysed = not skip or seq % 3 != 2
        frame = Frame("a", 1, seq, seq, Fraction(1, 25), seq * 40_000_000, "pts", 0, moved(picture, shift(x, 0)))
        box = np.array([[400 + x, 200, 450 + x, 300]], np.float32)
        found = (
            Detections.of(box, np.array([0.9], np.float32), np.zeros(1, np.int32)) if analysed else Detections.empty()
        )
        tracks = stage(Batch(frames=(frame,), detections=(found,), analysed=(analysed,))).tracks
        assert tracks is not None
        seen = tracks[0].states == TrackState.CONFIRMED
        ids.append(tracks[0].ids[seen].tolist())
        if not analysed:
            assert tracks[0].boxes[seen][0] == pytest.approx(box[0], abs=12)
    return ids


@pytest.mark.parametrize("recipe", ["bytetrack", "oc-sort"])
def test_a_track_stays_on_its_object_while_the_camera_swings(recipe: str) -> None:
    swinging = TrackerConfig(camera_motion="sparse-flow", recipe=recipe, match_iou=0.5)  # type: ignore[arg-type]
    assert jolted(swinging) == [[1]] * 12
    assert jolted(swinging, skip=True) == [[1]] * 12
    assert jolted(TrackerConfig(match_iou=0.5)) != [[1]] * 12
