"""Light and weather: what colours things have, what falls from the sky, how far one sees."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class _Light:
    elevation_degrees: tuple[float, float]
    sun: tuple[float, float, float]  # gain on a surface that faces the sun
    ambient: tuple[float, float, float]  # gain from the sky
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    lamps: bool


@dataclass(frozen=True, slots=True)
class _Weather:
    sun: float  # share of direct sun that remains
    ambient: float
    grey: float  # how far the sky turns to grey
    cloud: float  # contrast of clouds
    visibility_metres: tuple[float, float]
    wetness: float = 0.0
    snow: float = 0.0
    rain: float = 0.0
    flakes: float = 0.0


_LIGHTS: Final[dict[str, _Light]] = {
    "noon": _Light((48, 68), (0.62, 0.60, 0.54), (0.52, 0.55, 0.60), (84, 138, 206), (186, 210, 232), False),
    "morning": _Light((20, 38), (0.66, 0.58, 0.44), (0.42, 0.46, 0.54), (104, 150, 206), (222, 220, 210), False),
    "dusk": _Light((4, 9), (0.34, 0.22, 0.14), (0.34, 0.34, 0.42), (62, 78, 122), (228, 160, 116), True),
    "night": _Light((30, 50), (0.03, 0.035, 0.05), (0.115, 0.125, 0.165), (10, 13, 26), (44, 42, 50), True),
    "golden": _Light((12, 20), (0.78, 0.56, 0.30), (0.40, 0.41, 0.48), (110, 148, 196), (244, 208, 158), False),
    "blue_hour": _Light((20, 40), (0.05, 0.06, 0.10), (0.20, 0.24, 0.36), (30, 48, 96), (116, 122, 158), True),
    "white_noon": _Light((58, 76), (0.56, 0.56, 0.54), (0.60, 0.61, 0.63), (150, 180, 214), (222, 230, 238), False),
}

_WEATHERS: Final[dict[str, _Weather]] = {
    "clear": _Weather(1.0, 1.0, 0.0, 0.10, (500, 900)),
    "overcast": _Weather(0.08, 1.32, 0.85, 0.22, (260, 500)),
    "rain": _Weather(0.03, 1.10, 0.95, 0.18, (110, 220), wetness=1.0, rain=1.0),
    "fog": _Weather(0.0, 1.18, 1.0, 0.02, (26, 60)),
    "snow": _Weather(0.05, 1.22, 0.95, 0.08, (80, 200), snow=1.0, flakes=1.0),
    "fair": _Weather(0.86, 1.08, 0.12, 0.55, (380, 800)),
    "drizzle": _Weather(0.04, 1.16, 0.9, 0.12, (70, 140), wetness=0.7, rain=0.4),
    "haze": _Weather(0.45, 1.14, 0.4, 0.05, (90, 150)),
    "sleet": _Weather(0.03, 1.12, 0.95, 0.10, (70, 150), wetness=0.6, snow=0.45, rain=0.5, flakes=0.5),
}

_BROKEN_GREY = np.array([204.0, 208.0, 214.0])


@dataclass(frozen=True, slots=True, eq=False)
class Climate:
    """The light and weather of one world; colours in 0..255, gains around 1."""

    light: str
    weather: str
    sun_direction: Floats  # [3] unit vector towards the sun
    sun_gain: Floats  # [3]
    ambient_gain: Floats  # [3]
    zenith: Floats  # [3]
    horizon: Floats  # [3] also the colour of the fog
    cloud: float
    visibility_metres: float
    wetness: float
    snow: float
    rain: float
    flakes: float
    lamps: bool

    @property
    def shadow(self) -> float:
        """Share of the light on the ground that a shadow takes away."""
        direct = float(self.sun_gain.mean()) * float(self.sun_direction[2])
        return direct / (direct + float(self.ambient_gain.mean()))

    @property
    def exposure(self) -> float:
        """The gain by which a camera makes up for the light; what shines by itself is the brighter for it."""
        brightness = float(self.ambient_gain.mean()) + 0.5 * float(self.sun_gain.mean())
        return float(np.clip((0.80 / max(brightness, 0.05)) ** 0.6, 0.85, 2.4))

    @property
    def fog(self) -> float:
        """Attenuation a metre: at `visibility_metres` one ninth of a thing's own colour is left."""
        return 2.2 / self.visibility_metres

    def veil(self, depth_metres: float) -> float:
        """How much of what lies so far away is fog, 0..1."""
        return 1.0 - exp(-max(depth_metres, 0.0) * self.fog)


def draw_climate(
    rng: np.random.Generator, catalogue: Catalogue, *, light: str | None = None, weather: str | None = None
) -> Climate:
    """A light and a weather of the catalogue, unless named."""
    light = light or str(rng.choice(catalogue.lights))
    weather = weather or str(rng.choice(catalogue.weathers))
    lit, sky = _LIGHTS[light], _WEATHERS[weather]
    elevation, azimuth = np.radians(rng.uniform(*lit.elevation_degrees)), rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)])
    gain = rng.uniform(0.9, 1.1)
    brightness = (0.3 * np.array(lit.zenith) + 0.7 * np.array(lit.horizon)).mean() / _BROKEN_GREY.mean()
    grey = _BROKEN_GREY * min(1.0, brightness)
    ambient = np.array(lit.ambient) * sky.ambient * gain
    ambient += sky.grey * (ambient.mean() - ambient) * 0.6
    zenith = np.array(lit.zenith, float) + sky.grey * (grey * 0.92 - lit.zenith)
    horizon = np.array(lit.horizon, float) + sky.grey * (grey - lit.horizon)
    return Climate(
        light, weather, direction, np.array(lit.sun) * sky.sun * gain, ambient, zenith, horizon,
        sky.cloud * rng.uniform(0.6, 1.2), rng.uniform(*sky.visibility_metres), sky.wetness * rng.uniform(0.7, 1.0),
        sky.snow * rng.uniform(0.7, 1.0), sky.rain, sky.flakes, lit.lamps,
    )  # fmt: skip
