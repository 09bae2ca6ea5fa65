"""What unseen worlds draw from is held out from training worlds, and all of it can be drawn."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from stages.models.world import World
from stages.models.world.catalogue import CATALOGUES, Catalogue
from stages.models.world.scene import Wishes

_SIZE = {"width": 128, "height": 72, "supersample": 1}


@pytest.mark.parametrize("field", [field.name for field in fields(Catalogue)])
def test_splits_share_no_entry(field: str) -> None:
    train, unseen = (set(getattr(CATALOGUES[split], field)) for split in ("train", "unseen"))
    assert train, field
    assert unseen, field
    assert not train & unseen


def test_camera_bands_do_not_meet() -> None:
    """At the same height, an unseen camera has another field of view than a training camera, or none stands there."""
    for one in CATALOGUES["train"].cameras:
        for other in CATALOGUES["unseen"].cameras:
            apart = one.height_metres[1] <= other.height_metres[0] or other.height_metres[1] <= one.height_metres[0]
            assert apart, (one.name, other.name)


def test_palettes_lie_apart() -> None:
    """No colour held out is within the jitter of drawing (about 10 of 255 in each channel) of a training colour."""
    for name in ("vehicle_paints", "cloths"):
        train, unseen = (np.array(getattr(CATALOGUES[split], name), float) for split in ("train", "unseen"))
        nearest = np.abs(train[:, None] - unseen[None]).max(axis=2).min()
        assert nearest >= 10, name


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_worlds_draw_from_their_split_only(split: str) -> None:
    catalogue = CATALOGUES[split]  # type: ignore[index]
    for seed in range(12):
        world = World(seed, split=split, **_SIZE)  # type: ignore[arg-type]
        assert world.scene.layout.kind in catalogue.layouts
        assert world.scene.climate.light in catalogue.lights
        assert world.scene.climate.weather in catalogue.weathers
        height = world.scene.viewpoint.position[2]
        assert any(band.height_metres[0] <= height <= band.height_metres[1] for band in catalogue.cameras)


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_every_light_weather_and_layout_renders(split: str) -> None:
    catalogue = CATALOGUES[split]  # type: ignore[index]
    wishes = [Wishes(light=light) for light in catalogue.lights]
    wishes += [Wishes(weather=weather) for weather in catalogue.weathers]
    wishes += [Wishes(layout=layout) for layout in catalogue.layouts]
    wishes += [Wishes(camera=band.name) for band in catalogue.cameras]
    for wish in wishes:
        frame = World(9, split=split, wishes=wish, **_SIZE).render()  # type: ignore[arg-type]
        assert 8 < frame.image.mean() < 248, wish
        assert frame.image.std() > 4, wish
