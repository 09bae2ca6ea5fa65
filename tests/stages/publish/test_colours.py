import itertools

import numpy as np
import pytest

from stages.publish.colours import OKABE_ITO, THINGS, luminance, stuff_colour, text_colour, thing_colour

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


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_track_colours_can_be_told_apart(eyes):
    """A CIE76 distance of 10 is plain to see side by side; 2.3 is only just noticeable."""
    for one, other in itertools.combinations(OKABE_ITO, 2):
        assert np.linalg.norm(lab(one, eyes) - lab(other, eyes)) > 10


def test_a_number_keeps_its_colour_and_its_neighbours_have_others():
    assert [thing_colour(i) for i in range(100)] == [thing_colour(i) for i in range(100)]
    assert all(thing_colour(i) != thing_colour(i + 1) for i in range(100))
    assert len(set(THINGS)) == len(THINGS)


def test_ground_is_known_by_any_word_of_its_name_and_by_its_name_alone():
    assert stuff_colour("tree-merged") == stuff_colour("Tree") == stuff_colour("vegetation")
    assert stuff_colour("some unheard-of thing") == stuff_colour("some unheard-of thing")


def test_words_on_a_tag_can_be_read():
    """WCAG 2.1 asks 4.5 of small text; bold labels are held to its 3.0 for large."""
    for colour in THINGS:
        light, dark = sorted((luminance(colour), luminance(text_colour(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.0
