"""Frames of streets never trained on: the same picture by whatever way it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.worlds import UnseenWorlds
from stages.models.labelled.taxonomy import world_taxonomy

ORDERS = {"in order": [0, 1, 2, 3], "backwards": [3, 2, 1, 0], "one twice": [1, 1, 0, 2], "to and fro": [2, 0, 3, 1]}


def worlds() -> UnseenWorlds:
    return UnseenWorlds(taxonomy=world_taxonomy(), worlds=2, width=128, height=72, first_seed=7)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_picture_is_the_same_in_every_order(order: list[int]) -> None:
    pictures = worlds()
    for index in order:
        given, alone = pictures[index], worlds()[index]
        assert np.array_equal(given.image, alone.image)
        assert np.array_equal(given.regions, alone.regions)
        assert np.array_equal(given.boxes, alone.boxes)


def test_frames_of_a_street_differ_and_none_follows_the_last() -> None:
    pictures = worlds()
    assert not np.array_equal(pictures[0].image, pictures[1].image)
    with pytest.raises(IndexError, match="picture 4 of 4"):
        pictures[4]
