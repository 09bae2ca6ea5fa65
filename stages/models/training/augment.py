"""Changes to a picture that leave its truth true: a window of it, a mirror image, other colours, a worse camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from pipeline.config.settings import Settings
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.views import mirror, u8
from stages.models.training.windows import framed, random_window, touched, whole_window

Chance = Annotated[float, Meta(ge=0, le=1)]


class AugmentSettings(Settings, frozen=True):
    """How pictures are changed before they are learnt from, and how often.

    Attributes:
        keep_shapes: windows have the aspect of the view; of a picture of another aspect, the whole has grey at two
            sides. False: the picture's own aspect.
        channels: a blue car becomes a red one; sky and trees change too, so rarely.
        repaint: a segment is an object or a kind of surface.
    """

    whole: Annotated[Chance, Meta(description="Chance of the whole picture instead of a window of it.")] = 0.3
    smallest_window: Annotated[float, Meta(gt=0, le=1, description="Least side of a window, of the picture's.")] = 0.35
    largest_window: Annotated[
        float, Meta(ge=0.1, le=8, description="Greatest side; above 1 the picture is seen smaller, in grey.")
    ] = 1.4
    overhang: Annotated[Chance, Meta(description="Share of a window that may lie outside at either end.")] = 0.2
    keep_shapes: Annotated[
        bool, Meta(description="Nothing is seen wider or narrower than it is, but for `stretch`.")
    ] = True
    stretch: Annotated[float, Meta(ge=1, le=4, description="How far the aspect may be changed, as a factor.")] = 1.2
    mirror: Chance = 0.5
    colour: Chance = 0.8
    channels: Annotated[Chance, Meta(description="Chance of permuted channels.")] = 0.05
    repaint: Annotated[Chance, Meta(description="Chance that a segment gets a colour of its own.")] = 0.0
    blur: Chance = 0.1
    noise: Chance = 0.15
    mosaic: Annotated[Chance, Meta(description="Chance of four pictures in one.")] = 0.0
    mixup: Annotated[Chance, Meta(description="Chance of two pictures laid over each other.")] = 0.0
    copy_paste: Annotated[Chance, Meta(description="Chance that another picture's things are pasted in.")] = 0.0
    plain_end: Annotated[Chance, Meta(description="Share of the training, at its end, without mosaic and mixup.")] = (
        0.15
    )


def view(sample: Sample, rng: np.random.Generator, *, width: int, height: int, settings: AugmentSettings) -> Sample:
    """A random window of the sample or all of it, `width` by `height`, perhaps mirrored; colours as they are."""
    aspect = width / height if settings.keep_shapes else None
    if rng.random() < settings.whole:
        window = whole_window(sample, aspect=aspect)
    else:
        window = random_window(
            sample,
            rng,
            aspect=aspect,
            smallest=settings.smallest_window,
            largest=settings.largest_window,
            stretch=settings.stretch,
            overhang=settings.overhang,
        )
    sample = framed(sample, window, width=width, height=height)
    return mirror(sample) if rng.random() < settings.mirror else sample


def dress(sample: Sample, rng: np.random.Generator, *, settings: AugmentSettings) -> Sample:
    """The sample in other colours and by a worse camera; nothing moves."""
    image = repaint(sample, rng, chance=settings.repaint)
    if rng.random() < settings.colour:
        image = recolour(image, rng)
    if rng.random() < settings.channels:
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if rng.random() < settings.blur:
        image = u8(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3))))
    if rng.random() < settings.noise:
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
    return touched(sample.boxes[value - FIRST_OBJECT], sample.regions.shape)


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
