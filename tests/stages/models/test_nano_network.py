"""Shapes, decoding, size, learning and export of the network, at widths that take no time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.nano.network import Nano, NanoConfig, anchor_points, decode_boxes

TINY = NanoConfig(coefficients=8, widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), pyramid=16, mask_width=16)


def squares() -> Sample:
    """A bright car on a dark road."""
    image = np.full((64, 96, 3), 60, np.uint8)
    regions = np.full((64, 96), 1, np.uint8)
    image[20:44, 30:70], regions[20:44, 30:70] = (220, 40, 40), FIRST_OBJECT
    boxes = np.array([[30, 20, 70, 44]], np.float32)
    return Sample(image, regions, boxes, np.array([2]), np.ones(1, np.float32))


def test_output_shapes_follow_the_picture() -> None:
    network = Nano(TINY).eval()
    with torch.no_grad():
        output = network(torch.zeros(2, 3, 64, 96))
    anchors = 8 * 12 + 4 * 6 + 2 * 3
    assert output.class_logits.shape == (2, anchors, 5)
    assert output.boxes.shape == (2, anchors, 4)
    assert output.coefficients.shape == (2, anchors, 8)
    assert output.prototypes.shape == (2, 8, 16, 24)
    assert output.semantic.shape == (2, 10, 16, 24)


def test_the_shipped_shape_has_less_than_two_million_parameters() -> None:
    assert sum(parameter.numel() for parameter in Nano().parameters()) < 2_000_000


def test_anchor_points_are_cell_centres() -> None:
    anchors = anchor_points(32, 64)
    assert anchors[0].tolist() == [4, 4, 8]
    assert anchors[1].tolist() == [12, 4, 8]
    assert anchors[-1].tolist() == [48, 16, 32]


@pytest.mark.parametrize("size", [(30, 64), (64, 100), (0, 32)])
def test_sides_that_do_not_divide_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        anchor_points(*size)


def test_decoding_by_hand() -> None:
    raw = torch.tensor([[0.5, -0.5, np.log(2.0), 0.0]])
    assert decode_boxes(raw, torch.tensor([[12.0, 4.0, 8.0]])).tolist() == [pytest.approx([8, -4, 24, 4])]


def test_a_wild_size_stays_finite() -> None:
    assert torch.isfinite(decode_boxes(torch.full((1, 4), 1e4), torch.tensor([[0.0, 0.0, 8.0]]))).all()
