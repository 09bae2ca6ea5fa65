import itertools

import numpy as np
import pytest

from stages.publish.colours import OKABE_ITO, THINGS, luminance, mix, stuff_colour, text_colour, thing_colour
from stages.publish.masks import STUFF_OPACITY

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
# severity 1.0; rows give the seen linear red, green and blue.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
D65 = np.array([0.9505, 1.0, 1.089])


def lab(colour, eyes):
    linear = np.where((s := np.array(colour) / 255) <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(SEEN_BY[eyes] @ linear, 0, 1) / D65
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Kinds of ground that often touch.
TOUCHING = {
    "road": "pavement lane grass vegetation terrain dirt building wall fence sky water mountain sand snow rail",
    "pavement": "grass vegetation terrain dirt building wall fence water",
    "vegetation": "grass terrain dirt sky building wall fence water mountain snow rail",
    "grass": "terrain dirt water sand fence building wall sky rail",
    "terrain": "dirt water sky building fence rail",
    "building": "sky fence wall water platform dirt",
    "wall": "floor ceiling sky platform",
    "water": "sky sand dirt mountain",
    "sky": "mountain sand snow dirt fence",
    "dirt": "sand fence",
    "floor": "ceiling",
    "snow": "mountain",
    "rail": "platform",
}
PAIRS = [(one, other) for one, others in TOUCHING.items() for other in others.split()]


def ciede2000(one, other):
    """G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 Color-Difference Formula" (2005), equations 2 to 22."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, c = (l1 + l2) / 2, (c1 + c2) / 2
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    cos = lambda times, shift: np.cos(np.radians(times * hue + shift))  # noqa: E731
    t = 1 - 0.17 * cos(1, -30) + 0.24 * cos(2, 0) + 0.32 * cos(3, 6) - 0.20 * cos(4, -63)
    twist = -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))) * 2 * np.sqrt(c**7 / (c**7 + 25.0**7))
    sl = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    x, y, z = dl / sl, dc / (1 + 0.045 * c), dh / (1 + 0.015 * c * t)
    return float(np.sqrt(x * x + y * y + z * z + twist * y * z))


def apart(one, other, eyes):
    return ciede2000(lab(one, eyes), lab(other, eyes))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distances_are_those_of_the_published_pairs(one, other, expected):
    assert ciede2000(one, other) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("eyes", "next_one", "over_next"), [(e, 13 if e == "tritanopia" else 17, 10) for e in SEEN_BY])
def test_ids_that_follow_each_other_can_be_told_apart(eyes, next_one, over_next):
    """Also where the colours begin again."""
    for number in range(2 * len(THINGS)):
        assert apart(thing_colour(number), thing_colour(number + 1), eyes) > next_one
        assert apart(thing_colour(number), thing_colour(number + 2), eyes) > over_next


@pytest.mark.parametrize(("eyes", "least"), [(e, 10 if e == "tritanopia" else 13) for e in SEEN_BY])
def test_kinds_of_ground_that_touch_can_be_told_apart(eyes, least):
    for one, other in PAIRS:
        assert apart(stuff_colour(one), stuff_colour(other), eyes) > least, f"{one} beside {other}"


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_tints_of_ground_that_touch_can_be_told_apart_on_one_grey(eyes):
    """Drawn on a wall of one colour they are closer; 2 is only just noticeable."""
    for one, other in PAIRS:
        tinted = [mix((120, 120, 120), stuff_colour(name), STUFF_OPACITY) for name in (one, other)]
        assert apart(*tinted, eyes) > 4, f"{one} beside {other}"


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_track_colours_can_be_told_apart(eyes):
    """A CIE76 distance of 10 is plain to see side by side; 2.3 is only just noticeable."""
    for one, other in itertools.combinations(OKABE_ITO, 2):
        assert np.linalg.norm(lab(one, eyes) - lab(other, eyes)) > 10


def test_a_number_keeps_its_colour_and_its_neighbours_have_others():
    assert [thing_colour(i) for i in range(100)] == [thing_colour(i) for i in range(100)]
    assert len(set(THINGS)) == len(THINGS)


def test_ground_is_known_by_any_word_of_its_name_and_by_its_name_alone():
    assert stuff_colour("tree-merged") == stuff_colour("Tree") == stuff_colour("vegetation")
    assert stuff_colour("some unheard-of thing") == stuff_colour("some unheard-of thing")


def test_words_on_a_tag_can_be_read():
    """WCAG 2.1 asks 4.5 of small text; bold labels are held to its 3.0 for large."""
    for colour in THINGS:
        light, dark = sorted((luminance(colour), luminance(text_colour(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.0
