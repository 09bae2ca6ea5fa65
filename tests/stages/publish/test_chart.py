"""Figures drawn: what is where in the picture."""

from __future__ import annotations

import numpy as np

from pipeline.messages.panels import Bars, Curves
from stages.publish.chart import COLOURS, LABELS_WIDTH, LEFT, RIGHT, WIDTH, draw_chart


def pixels_of(rgb: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((rgb == colour).all(axis=-1).sum())


def test_a_bar_is_as_long_as_its_count_beside_the_most() -> None:
    rgb = draw_chart([Bars("crossed", [("in", {"person": 4, "car": 4}), ("out", {"person": 2})])], "all")
    room = WIDTH - LEFT - LABELS_WIDTH - RIGHT - 60
    person, car = pixels_of(rgb, COLOURS[0]), pixels_of(rgb, COLOURS[1])
    swatch = 12 * 12
    assert abs(person - swatch - 22 * room * 6 / 8) < 100
    assert abs(car - swatch - 22 * room * 4 / 8) < 100


def test_a_curve_is_higher_where_its_number_is() -> None:
    rgb = draw_chart([Curves("seen", [0.0, 1.0], 1.0, {"person": [1, 4]}, [(0.0, "00:00"), (1.0, "00:01")])], "all")
    line = (rgb == COLOURS[0]).all(axis=-1)
    line[:115] = False  # what colours mean
    half = (LEFT + WIDTH - RIGHT) // 2
    low, high = np.argwhere(line[:, LEFT + 20 : half - 20])[:, 0], np.argwhere(line[:, half + 20 : -RIGHT - 20])[:, 0]
    assert high.max() < low.min()


def test_nothing_to_draw_is_drawn_and_long_names_are_cut() -> None:
    empty = draw_chart([Curves("seen", [], 1.0, {}, []), Bars("crossed", [])], "x" * 500)
    assert empty.shape[1:] == (WIDTH, 3)
    many = {f"a class with a long name {i}": [0.0] for i in range(30)}
    assert draw_chart([Curves("seen", [0.0], 1.0, many, [])], "all").shape[1] == WIDTH
