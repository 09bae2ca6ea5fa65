"""What the two splits draw from: `train` and `unseen` share no entry of any field, so a test can hold them to it.

Held out for `unseen` (never drawn by `train`):

- **palettes**: every base colour of vehicles, clothes, hair, walls, roofs, leaves, ground and paving;
- **vehicle shapes**: coupé, people carrier and crossover cars, low-floor and midi buses, tankers and container lorries;
- **people**: hoodies, ponchos, skirts with jackets, long dresses; satchels and suitcases; builds (tall, stocky);
- **bicycles**: step-through and cargo-rack frames;
- **buildings**: curtain-wall towers, arcades, mansard blocks; **trees**: poplar, plane tree and cypress crowns;
- **street furniture**: globe lamps, bollards, columns and kiosks instead of letter boxes and benches;
- **cameras**: bands of height, pitch and field of view that lie between or beyond those of `train`;
- **light**: golden hour, blue hour and white noon; **weather**: fair (broken cloud), drizzle, haze and sleet;
- **layouts**: avenues (four lanes, planted verges) and bends to the left.

Only the structure that makes a thing what it is (wheels, windows, limbs, proportions, facades in rows) is common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Split = Literal["train", "unseen"]
Rgb = tuple[int, int, int]
Band = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CameraBand:
    """A family of camera placements: height in metres, horizontal field of view in degrees."""

    name: str
    height_metres: Band
    field_of_view_degrees: Band
    focus_metres: Band  # distance along the ground to the middle of what is looked at


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything a split may draw; each field is a set of alternatives."""

    layouts: tuple[str, ...]
    lights: tuple[str, ...]
    weathers: tuple[str, ...]
    cameras: tuple[CameraBand, ...]
    cars: tuple[str, ...]
    buses: tuple[str, ...]
    trucks: tuple[str, ...]
    bicycles: tuple[str, ...]
    outfits: tuple[str, ...]
    carried: tuple[str, ...]
    builds: tuple[tuple[float, float], ...]  # height in metres, girth relative to the ordinary
    buildings: tuple[str, ...]
    trees: tuple[str, ...]
    furniture: tuple[str, ...]
    vehicle_paints: tuple[Rgb, ...]
    cloths: tuple[Rgb, ...]
    hairs: tuple[Rgb, ...]
    skins: tuple[Rgb, ...]
    walls: tuple[Rgb, ...]
    roofs: tuple[Rgb, ...]
    leaves: tuple[Rgb, ...]
    grasses: tuple[Rgb, ...]
    asphalts: tuple[Rgb, ...]
    pavings: tuple[Rgb, ...]


_TRAIN: Final = Catalogue(
    layouts=("straight", "crossing", "bend_right"),
    lights=("noon", "morning", "dusk", "night"),
    weathers=("clear", "overcast", "rain", "fog", "snow"),
    cameras=(
        CameraBand("eye", (1.55, 2.2), (50.0, 62.0), (9.0, 15.0)),
        CameraBand("pole", (3.0, 4.3), (48.0, 62.0), (10.0, 18.0)),
        CameraBand("mast", (6.2, 8.5), (50.0, 60.0), (14.0, 22.0)),
        CameraBand("wide", (2.9, 4.4), (70.0, 84.0), (7.0, 12.0)),
    ),
    cars=("saloon", "hatchback", "estate", "suv", "city"),
    buses=("city_bus", "coach"),
    trucks=("box", "tipper", "flatbed"),
    bicycles=("diamond", "sloping"),
    outfits=("tshirt", "jacket", "coat", "dress", "shorts", "suit"),
    carried=("nothing", "backpack", "shopping", "umbrella", "handbag"),
    builds=((1.76, 1.0), (1.66, 0.95), (1.82, 1.06), (1.30, 0.92)),
    buildings=("flats", "shops", "house", "offices", "warehouse"),
    trees=("round", "oval", "conifer"),
    furniture=("bin", "letter_box", "bench", "sign", "cabinet"),
    vehicle_paints=(
        (236, 236, 232),
        (26, 27, 30),
        (172, 177, 182),
        (104, 108, 113),
        (170, 26, 30),
        (30, 60, 142),
        (34, 84, 62),
        (198, 182, 150),
        (234, 188, 36),
        (62, 70, 96),
    ),
    cloths=(
        (24, 26, 34),
        (52, 62, 92),
        (92, 96, 102),
        (150, 34, 38),
        (222, 220, 212),
        (64, 92, 66),
        (196, 162, 110),
        (36, 84, 140),
        (122, 82, 58),
        (206, 128, 146),
        (228, 196, 70),
    ),
    hairs=((28, 22, 20), (74, 48, 32), (170, 130, 76), (120, 116, 112)),
    skins=((232, 190, 164), (196, 144, 112), (120, 80, 58), (216, 168, 136)),
    walls=((172, 102, 78), (206, 190, 164), (150, 150, 148), (222, 216, 204), (128, 96, 82), (188, 170, 132)),
    roofs=((120, 62, 48), (74, 76, 80), (96, 82, 74)),
    leaves=((66, 104, 44), (48, 88, 46), (92, 118, 50), (56, 98, 62)),
    grasses=((92, 124, 58), (112, 132, 70), (76, 110, 52)),
    asphalts=((82, 83, 86), (98, 97, 96), (68, 69, 73)),
    pavings=((166, 162, 156), (150, 148, 148), (178, 168, 152), (140, 132, 126)),
)

_UNSEEN: Final = Catalogue(
    layouts=("avenue", "junction", "bend_left"),
    lights=("golden", "blue_hour", "white_noon"),
    weathers=("fair", "drizzle", "haze", "sleet"),
    cameras=(
        CameraBand("van_roof", (2.3, 2.85), (52.0, 64.0), (10.0, 15.0)),
        CameraBand("first_floor", (4.5, 6.0), (46.0, 66.0), (12.0, 19.0)),
        CameraBand("roof", (8.7, 10.0), (46.0, 54.0), (17.0, 24.0)),
    ),
    cars=("coupe", "people_carrier", "crossover"),
    buses=("low_floor", "midi"),
    trucks=("tanker", "container"),
    bicycles=("step_through", "rack"),
    outfits=("hoodie", "poncho", "skirt", "long_dress"),
    carried=("empty", "satchel", "suitcase", "parasol"),
    builds=((1.88, 0.97), (1.70, 1.16), (1.60, 1.0)),
    buildings=("tower", "arcade", "mansard"),
    trees=("poplar", "plane", "cypress"),
    furniture=("kiosk", "bollard", "column"),
    vehicle_paints=(
        (244, 234, 210),
        (68, 74, 84),
        (112, 22, 46),
        (218, 108, 30),
        (22, 112, 120),
        (112, 162, 206),
        (96, 70, 54),
        (146, 172, 62),
        (206, 192, 172),
    ),
    cloths=(
        (40, 34, 46),
        (110, 40, 84),
        (216, 104, 42),
        (58, 122, 126),
        (236, 232, 222),
        (134, 140, 84),
        (92, 62, 128),
        (164, 176, 190),
        (84, 44, 34),
    ),
    hairs=((44, 30, 24), (128, 62, 34), (206, 176, 120), (182, 180, 176)),
    skins=((224, 178, 150), (170, 118, 88), (98, 66, 50), (240, 204, 182)),
    walls=((196, 128, 96), (176, 186, 190), (232, 206, 160), (132, 112, 116), (160, 166, 140)),
    roofs=((60, 66, 76), (138, 84, 62), (84, 96, 92)),
    leaves=((78, 112, 36), (112, 120, 40), (40, 80, 56), (150, 118, 42)),
    grasses=((104, 120, 50), (84, 118, 74), (128, 132, 84)),
    asphalts=((90, 88, 84), (76, 79, 84), (110, 108, 106)),
    pavings=((184, 178, 170), (158, 146, 136), (146, 152, 158), (192, 172, 150)),
)

CATALOGUES: Final[dict[Split, Catalogue]] = {"train": _TRAIN, "unseen": _UNSEEN}


def jittered(
    rng: np.random.Generator, palette: tuple[Rgb, ...], *, spread: float = 14, darker: float = 1.0
) -> tuple[float, float, float]:
    """A colour near one of a palette."""
    base = np.array(palette[rng.integers(len(palette))], float) * darker
    red, green, blue = np.clip(base + rng.normal(0, spread * 0.5) + rng.normal(0, spread * 0.35, 3), 6, 250)
    return float(red), float(green), float(blue)
