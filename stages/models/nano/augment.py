"""Changes to a picture that leave its truth true: a window of it, a mirror image, other colours, a worse camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.nano.sample import FIRST_OBJECT, Sample

# Below these an object cannot be told from its surroundings; the same rule ignores it in evaluation.
MIN_VISIBILITY = 0.15
MIN_SIDE_PIXELS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How strongly and how often.

    Attributes:
        whole_chance: chance to take the whole picture instead of a window of it.
        smallest_window: least side of a window, as a share of the picture's.
        stretch: how far the window's aspect may leave the picture's, as a factor.
        mirror_chance: chance of a mirror image.
        colour_chance: chance of other colours.
        channel_chance: chance of permuted channels (a blue car becomes a red one); sky and trees change too, so rarely.
        repaint_chance: chance that a segment, an object or a kind of surface, gets a colour of its own.
        blur_chance: chance of blur.
        noise_chance: chance of sensor noise.
    """

    whole_chance: float = 0.4
    smallest_window: float = 0.45
    stretch: float = 1.15
    mirror_chance: float = 0.5
    colour_chance: float = 0.8
    channel_chance: float = 0.12
    repaint_chance: float = 0.0
    blur_chance: float = 0.15
    noise_chance: float = 0.25


def augment(
    sample: Sample, rng: np.random.Generator, *, width: int, height: int, config: AugmentConfig | None = None
) -> Sample:
    """A random view of the sample, `width` by `height`."""
    config = config or AugmentConfig()
    left, top, right, bottom = _window(sample, rng, config)
    sample = resample(sample, (left, top, right, bottom), width=width, height=height)
    if rng.random() < config.mirror_chance:
        sample = mirror(sample)
    image = repaint(sample, rng, chance=config.repaint_chance)
    if rng.random() < config.colour_chance:
        image = recolour(image, rng)
    if rng.random() < config.channel_chance:
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if rng.random() < config.blur_chance:
        image = _u8(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3))))
    if rng.random() < config.noise_chance:
        image = add_noise(image, rng, sigma=float(rng.uniform(2, 14)))
    return Sample(image, sample.regions, sample.boxes, sample.labels, sample.visibility)


def _window(sample: Sample, rng: np.random.Generator, config: AugmentConfig) -> tuple[float, float, float, float]:
    height, width = sample.regions.shape
    if rng.random() < config.whole_chance:
        return 0.0, 0.0, float(width), float(height)
    share = rng.uniform(config.smallest_window, 1.0)
    stretch = np.exp(rng.uniform(-1, 1) * np.log(config.stretch) / 2)
    w, h = min(share * stretch, 1.0) * width, min(share / stretch, 1.0) * height
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, top, left + w, top + h


def resample(sample: Sample, window: tuple[float, float, float, float], *, width: int, height: int) -> Sample:
    """The window (left, top, right, bottom in pixels) as a picture of its own.

    Objects whose box the window cuts become less visible.
    """
    left, top, right, bottom = window
    sx, sy = width / (right - left), height / (bottom - top)
    image = _cut(sample.image, window, width=width, height=height, shrink=cv2.INTER_AREA)
    regions = _cut(sample.regions, window, width=width, height=height, shrink=cv2.INTER_NEAREST)
    low = np.array([left, top, left, top], np.float32)
    scale = np.array([sx, sy, sx, sy], np.float32)
    boxes = (sample.boxes - low) * scale
    clipped = boxes.clip(0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    before, after = _areas(boxes), _areas(clipped)
    visibility = (sample.visibility * after / np.maximum(before, 1e-6)).astype(np.float32)
    return Sample(image, regions, clipped, sample.labels, visibility)


def _cut(
    pixels: NDArray[np.uint8], window: tuple[float, float, float, float], *, width: int, height: int, shrink: int
) -> NDArray[np.uint8]:
    left, top, right, bottom = (round(value) for value in window)
    part = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    enlarge = cv2.INTER_NEAREST if shrink == cv2.INTER_NEAREST else cv2.INTER_LINEAR
    mode = shrink if part.shape[1] >= width else enlarge
    return _u8(cv2.resize(part, (width, height), interpolation=mode))


def mirror(sample: Sample) -> Sample:
    """Left and right exchanged."""
    width = sample.regions.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
    image, regions = (np.ascontiguousarray(pixels[:, ::-1]) for pixels in (sample.image, sample.regions))
    return Sample(image, regions, boxes, sample.labels, sample.visibility)


def repaint(sample: Sample, rng: np.random.Generator, *, chance: float) -> NDArray[np.uint8]:
    """The picture with some segments in other colours, light and shade kept.

    What a thing is must not hang on its paint: worlds never seen have palettes never seen.
    """
    picked = [value for value in np.unique(sample.regions) if value and rng.random() < chance]
    if not picked:
        return sample.image
    image = sample.image.copy()
    for value in picked:
        rows, columns = _extent(sample, int(value))
        inside = sample.regions[rows, columns] == value
        part = image[rows, columns]
        if part.size:  # a window's edge can leave a column of an object outside of its rounded box
            part[inside] = _u8(cv2.transform(part, _turn(rng)))[inside]
    return image


def _extent(sample: Sample, value: int) -> tuple[slice, slice]:
    """Rows and columns around a segment: an object's box, or everything for a kind of surface."""
    if value < FIRST_OBJECT:
        return slice(None), slice(None)
    left, top, right, bottom = sample.boxes[value - FIRST_OBJECT]
    return slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))


def _turn(rng: np.random.Generator) -> NDArray[np.float32]:
    """A random colour matrix [3, 3]: grey stays nearly grey, colours turn and fade, and brightness changes."""
    tint = rng.uniform(0.7, 1.25) * rng.uniform(0.92, 1.08, (3, 1))
    mix = rng.dirichlet((0.6, 0.6, 0.6), 3)  # rows sum to 1
    fade = rng.uniform(0, 1)
    return np.asarray((fade * mix + (1 - fade) * np.eye(3)[rng.permutation(3)]) * tint, np.float32)


def recolour(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Other hue, saturation, gain, gamma and white balance, through one table a channel."""
    if rng.random() < 0.6:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        shift, gain = int(rng.integers(-18, 19)), rng.uniform(0.25, 1.5)
        hue = ((np.arange(256) + shift) % 180).astype(np.uint8)
        saturation = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
        same = np.arange(256, dtype=np.uint8)
        image = _u8(cv2.cvtColor(_u8(cv2.LUT(hsv, np.stack([hue, saturation, same], -1)[None])), cv2.COLOR_HSV2RGB))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.uniform(-0.45, 0.45))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    levels = levels * rng.uniform(0.85, 1.15, 3)
    return _u8(cv2.LUT(image, (levels * 255).clip(0, 255).astype(np.uint8)[None]))


def add_noise(image: NDArray[np.uint8], rng: np.random.Generator, *, sigma: float) -> NDArray[np.uint8]:
    """Gaussian noise of `sigma` levels, drawn for a tile and repeated: a full draw would cost more than the rest."""
    height, width, _ = image.shape
    tile = rng.normal(0, sigma, (64, 101, 3)).astype(np.float32)
    noise = np.tile(tile, (height // 64 + 1, width // 101 + 1, 1))[:height, :width]
    return _u8(cv2.add(image, noise, dtype=cv2.CV_8U))


def is_ignored(sample: Sample, *, scale: float = 1.0) -> NDArray[np.bool_]:
    """[G]: visible by less than `MIN_VISIBILITY`, or a shorter side under `MIN_SIDE_PIXELS` (after `scale`)."""
    sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(1, initial=np.inf) * scale
    return np.asarray((sample.visibility < MIN_VISIBILITY) | (sides < MIN_SIDE_PIXELS), np.bool_)


def object_masks(regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 where no object is, else 1 + its index into boxes."""
    return np.where(regions >= FIRST_OBJECT, regions - np.uint8(FIRST_OBJECT - 1), np.uint8(0))


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def _u8(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    return pixels.astype(np.uint8, copy=False)
