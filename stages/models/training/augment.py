"""Changes to a picture that leave its truth true: a window of it, a mirror image, other colours, a worse camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.views import mirror, u8
from stages.models.training.windows import framed, random_window, whole_window


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How strongly and how often.

    Attributes:
        whole_chance: chance to take the whole picture instead of a window of it.
        smallest_window: least side of a window, as a share of the picture's.
        largest_window: greatest side, likewise; above 1 the picture is seen smaller, with grey around it.
        overhang: share of a window that may lie outside of the picture at either end of an axis.
        keep_shapes: windows have the aspect of the view, so that nothing is seen wider or narrower than it is; of a
            picture of another aspect, the whole has grey at two sides. False: the picture's own aspect.
        stretch: how far the window's aspect may leave that, as a factor.
        mirror_chance: chance of a mirror image.
        colour_chance: chance of other colours.
        channel_chance: chance of permuted channels (a blue car becomes a red one); sky and trees change too, so rarely.
        repaint_chance: chance that a segment, an object or a kind of surface, gets a colour of its own.
        blur_chance: chance of blur.
        noise_chance: chance of sensor noise.
    """

    whole_chance: float = 0.4
    smallest_window: float = 0.45
    largest_window: float = 1.0
    overhang: float = 0.0
    keep_shapes: bool = False
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
    return dress(view(sample, rng, width=width, height=height, config=config), rng, config=config)


def view(sample: Sample, rng: np.random.Generator, *, width: int, height: int, config: AugmentConfig) -> Sample:
    """A random window of the sample or all of it, `width` by `height`, perhaps mirrored; colours as they are."""
    aspect = width / height if config.keep_shapes else None
    if rng.random() < config.whole_chance:
        window = whole_window(sample, aspect=aspect)
    else:
        window = random_window(
            sample,
            rng,
            aspect=aspect,
            smallest=config.smallest_window,
            largest=config.largest_window,
            stretch=config.stretch,
            overhang=config.overhang,
        )
    sample = framed(sample, window, width=width, height=height)
    return mirror(sample) if rng.random() < config.mirror_chance else sample


def dress(sample: Sample, rng: np.random.Generator, *, config: AugmentConfig) -> Sample:
    """The sample in other colours and by a worse camera; nothing moves."""
    image = repaint(sample, rng, chance=config.repaint_chance)
    if rng.random() < config.colour_chance:
        image = recolour(image, rng)
    if rng.random() < config.channel_chance:
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if rng.random() < config.blur_chance:
        image = u8(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3))))
    if rng.random() < config.noise_chance:
        image = add_noise(image, rng, sigma=float(rng.uniform(2, 14)))
    return replace(sample, image=image)


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
            part[inside] = u8(cv2.transform(part, _turn(rng)))[inside]
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
        image = u8(cv2.cvtColor(u8(cv2.LUT(hsv, np.stack([hue, saturation, same], -1)[None])), cv2.COLOR_HSV2RGB))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.uniform(-0.45, 0.45))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    levels = levels * rng.uniform(0.85, 1.15, 3)
    return u8(cv2.LUT(image, (levels * 255).clip(0, 255).astype(np.uint8)[None]))


def add_noise(image: NDArray[np.uint8], rng: np.random.Generator, *, sigma: float) -> NDArray[np.uint8]:
    """Gaussian noise of `sigma` levels, drawn for a tile and repeated: a full draw would cost more than the rest."""
    height, width, _ = image.shape
    tile = rng.normal(0, sigma, (64, 101, 3)).astype(np.float32)
    noise = np.tile(tile, (height // 64 + 1, width // 101 + 1, 1))[:height, :width]
    return u8(cv2.add(image, noise, dtype=cv2.CV_8U))
