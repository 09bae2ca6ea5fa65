"""JPEGs of frames: of the chosen size, no more often than chosen, and what was in the frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.config import FrameConfig
from pipeline.messages import Frame, Surface
from stages.publish.pictures import Pictures
from stages.publish.rgb import rgb_of


class Clock:
    """Time that passes when told to."""

    seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


def rgb(width: int, height: int) -> Surface:
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    ramp[..., 2] = 200
    return Surface("rgb24", (ramp,))


def yuv(width: int, height: int) -> Surface:
    half = ((height + 1) // 2, (width + 1) // 2)
    return Surface("yuv420p", tuple(np.full(shape, 128, np.uint8) for shape in ((height, width), half, half)))


def frame(surface: Surface, source_id: str = "door") -> Frame:
    return Frame(source_id, 3, 7, 700, Fraction(1, 25), 123, "host", 0, surface)


def test_a_picture_is_of_the_chosen_width_and_keeps_its_shape() -> None:
    made = Pictures(FrameConfig(width=320)).make(frame(rgb(1280, 720)))
    assert (made.width, made.height, made.jpeg_width, made.jpeg_height) == (1280, 720, 320, 180)
    assert (made.identity, made.pts, made.capture_time_ns, made.clock) == (("door", 3, 7), 700, 123, "host")
    decoded = made.rgb().astype(int)
    assert decoded.shape == (180, 320, 3)
    assert np.abs(decoded[90, :, 0] - np.linspace(0, 255, 320)).max() < 12  # red is red
    assert np.abs(decoded[..., 2] - 200).max() < 12


@pytest.mark.parametrize(("size", "jpeg"), [((64, 48), (64, 48)), ((641, 3), (640, 3)), ((2000, 1), (640, 1))])
def test_a_picture_is_never_larger_than_its_source(size: tuple[int, int], jpeg: tuple[int, int]) -> None:
    made = Pictures(FrameConfig()).make(frame(rgb(*size)))
    assert (made.jpeg_width, made.jpeg_height) == jpeg


@pytest.mark.parametrize("surface", [rgb(96, 54), yuv(96, 54)], ids=["rgb", "yuv"])
def test_scaling_on_the_way_gives_the_size_asked_for(surface: Surface) -> None:
    assert rgb_of(surface, size=(31, 17)).shape == (17, 31, 3)
    assert rgb_of(surface).shape == (54, 96, 3)


def test_grey_stays_grey() -> None:
    assert np.abs(Pictures(FrameConfig()).make(frame(yuv(96, 54))).rgb().astype(int) - 130).max() < 6


def test_quality_is_paid_for_in_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3)).astype(np.uint8)
    low, high = (Pictures(FrameConfig(quality=quality)).make(frame(Surface("rgb24", (noise,)))) for quality in (20, 95))
    assert len(high.jpeg) > 2 * len(low.jpeg)


def test_pictures_come_no_more_often_than_chosen_for_each_source() -> None:
    clock = Clock()
    pictures = Pictures(FrameConfig(frames_a_second=4.0), now_seconds=clock)
    made = {"door": 0, "yard": 0}
    for _ in range(100):  # 10 seconds of 10 frames a second
        for source in made:
            if pictures.is_due(source):
                pictures.make(frame(rgb(16, 16), source))
                made[source] += 1
        clock.seconds += 0.1
    assert made == {"door": 40, "yard": 40}


def test_after_a_pause_pictures_do_not_catch_up() -> None:
    clock = Clock()
    pictures = Pictures(FrameConfig(frames_a_second=1.0), now_seconds=clock)
    pictures.make(frame(rgb(16, 16)))
    clock.seconds += 60
    pictures.make(frame(rgb(16, 16)))
    assert not pictures.is_due("door")
    clock.seconds += 1
    assert pictures.is_due("door")
    pictures.make(frame(rgb(16, 16)))
    pictures.forget("door")
    assert pictures.is_due("door")
