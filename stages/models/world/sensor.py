"""What a camera does to a picture: exposure, glare, falling rain and snow, blur, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world import noise
from stages.models.world.climate import Climate

Quality = Literal["varied", "clean"]


@dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """The camera of one world."""

    gain: NDArray[np.float32]  # [3] exposure and white balance
    contrast: float
    saturation: float
    blur_pixels: float  # deviation, at a width of 512
    noise: float  # deviation, in 0..255
    vignette: float
    jpeg_quality: int | None


def draw_sensor(rng: np.random.Generator, climate: Climate, quality: Quality) -> Sensor:
    """A camera as one finds them on streets: mostly fair, at times poor; `clean` is a good one."""
    exposure = climate.exposure
    if quality == "clean":
        gain = np.full(3, 1.12 * exposure, np.float32)
        return Sensor(gain, 1.08, 1.2, 0.0, 1.0, 0.08, None)
    dark = max(0.0, exposure - 1.0)
    gain = (exposure * rng.uniform(0.85, 1.18) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    return Sensor(
        gain,
        contrast=float(rng.uniform(0.82, 1.18)),
        saturation=float(rng.uniform(0.6, 1.2)),
        blur_pixels=float(rng.choice((0.0, rng.uniform(0.3, 1.1)), p=(0.55, 0.45))),
        noise=float(rng.uniform(0.8, 6.0) + 5.0 * dark * rng.uniform(0.3, 1.0)),
        vignette=float(rng.uniform(0.0, 0.28)),
        jpeg_quality=int(rng.integers(28, 92)) if rng.random() < 0.5 else None,
    )


def expose(
    picture: NDArray[np.float32], sensor: Sensor, climate: Climate, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture [H, W, 3] (0..255, lit) as the camera gives it."""
    height, width = picture.shape[:2]
    scale = width / 512
    picture = picture * _vignette(height, width, round(sensor.vignette, 2))
    picture = np.asarray(cv2.transform(picture, _colour_matrix(sensor)), np.float32)
    if climate.rain or climate.flakes:
        picture += _falling(height, width, climate, rng)[..., None]
    if sensor.blur_pixels:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sensor.blur_pixels * scale), np.float32)
    picture += noise.gaussian(rng, height=height, width=width) * np.float32(sensor.noise)
    seen = np.asarray(np.clip(picture, 0, 255), np.uint8)
    if sensor.jpeg_quality is not None:
        _, coded = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg_quality])
        seen = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return seen


def _colour_matrix(sensor: Sensor) -> NDArray[np.float64]:
    """Gain, contrast around middle grey and saturation as one affine map of colours.  [3, 4]"""
    saturate = np.full((3, 3), (1 - sensor.saturation) / 3) + np.eye(3) * sensor.saturation
    return np.column_stack([sensor.contrast * saturate * sensor.gain, np.full(3, 127.0 * (1 - sensor.contrast))])


@cache
def _vignette(height: int, width: int, strength: float) -> NDArray[np.float32]:
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.repeat(np.asarray(1.0 - strength * (down**2 + across**2) / 2, np.float32)[..., None], 3, axis=2)


def _falling(height: int, width: int, climate: Climate, rng: np.random.Generator) -> NDArray[np.float32]:
    """Streaks of rain and flakes of snow as light to be added.  [H, W]"""
    layer = np.zeros((height, width), np.uint8)
    scale = height / 288
    slant = 0.12
    drops = _drops(rng, int(170 * climate.rain), height, width, (7 * scale, 22 * scale))
    for x, y, length in zip(*drops, strict=True):
        end = (int(x + slant * length), int(y + length))
        cv2.line(layer, (int(x), int(y)), end, 150, max(1, round(0.6 * scale)), cv2.LINE_AA)
    flakes = _drops(rng, int(210 * climate.flakes), height, width, (0.7 * scale, 2.3 * scale))
    for x, y, size in zip(*flakes, strict=True):
        cv2.circle(layer, (int(x * 4), int(y * 4)), int(size * 4), 255, -1, cv2.LINE_AA, 2)
    brightness = min(1.0, float(climate.horizon.mean()) / 160)
    return cv2.blur(layer, (3, 3)).astype(np.float32) * np.float32(0.45 * brightness)


def _drops(
    rng: np.random.Generator, count: int, height: int, width: int, sizes: tuple[float, float]
) -> tuple[list[float], list[float], list[float]]:
    return (
        rng.uniform(0, width, count).tolist(),
        rng.uniform(-10, height, count).tolist(),
        rng.uniform(*sizes, count).tolist(),
    )


def add_glare(picture: NDArray[np.float32], lights: NDArray[np.float64], colours: NDArray[np.float64]) -> None:
    """Adds the glow around lights (x, y, radius in pixels) [n, 3] with colours [n, 3] to a picture, in place."""
    if not len(lights):
        return
    height, width = picture.shape[:2]
    coarse = 4
    layer = np.zeros((-(-height // coarse), -(-width // coarse), 3), np.float32)
    for (x, y, radius), colour in zip(lights.tolist(), colours.tolist(), strict=True):
        centre = (round(x / coarse * 8), round(y / coarse * 8))
        cv2.circle(layer, centre, max(4, round(radius / coarse * 8)), colour, -1, cv2.LINE_AA, 3)
    glow = cv2.GaussianBlur(layer, (0, 0), 1.6) + 0.5 * cv2.GaussianBlur(layer, (0, 0), 5.0)
    picture += cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR)
