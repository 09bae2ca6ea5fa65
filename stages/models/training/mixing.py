"""Several labelled pictures as one, the truth of all of them kept: mosaic, MixUp, copy-paste.

Sources: mosaic, Bochkovskiy et al. 2020, "YOLOv4" (arXiv:2004.10934); MixUp, Zhang et al. 2017 (1710.09412), of
pictures with boxes as Zhang et al. 2019, "Bag of Freebies" (1902.04103); copy-paste, Ghiasi et al. 2020 (2012.07177).

In all three what is no longer to be seen has no box; a class is known only where it is known in every picture taken
(`Sample.known` joined by AND); and where more objects come together than regions can number, the smallest make way: one
box around them is neither right nor wrong to find, and their pixels are void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS, Sample
from stages.models.labelled.views import areas, u8
from stages.models.training.windows import framed, random_window, touched

# A pasted object covers at least this many pixels, or there is nothing to learn of it.
_SMALLEST_PASTE = 24
# Objects more hidden than this are no good to paste: what hid them would leave its outline.
_PASTED_VISIBILITY = 0.6


def mosaic(
    samples: Sequence[Sample],
    rng: np.random.Generator,
    *,
    width: int,
    height: int,
    smallest: float = 0.5,
    centre: tuple[float, float] = (0.3, 0.7),
) -> Sample:
    """Windows of four pictures around a point of chance, without a gap between them.

    Args:
        samples: four pictures of any size.
        rng: where chance comes from.
        width: of the result, pixels.
        height: of the result, pixels.
        smallest: least side of a window, as a share of the largest one of its quarter's aspect.
        centre: where the point may lie, as shares of both sides.

    Raises:
        ValueError: for any other number of pictures.
    """
    if len(samples) != 4:
        raise ValueError(f"{len(samples)} pictures; a mosaic has 4")
    x = min(max(round(rng.uniform(*centre) * width), 1), width - 1)
    y = min(max(round(rng.uniform(*centre) * height), 1), height - 1)
    image = np.empty((height, width, 3), np.uint8)
    regions = np.empty((height, width), np.uint16)
    parts: list[Sample] = []
    quarters = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    for sample, (left, top, right, bottom) in zip(samples, quarters, strict=True):
        w, h = right - left, bottom - top
        window = random_window(sample, rng, aspect=w / h, smallest=smallest)
        part = framed(sample, window, width=w, height=h)
        image[top:bottom, left:right] = part.image
        regions[top:bottom, left:right] = _numbered(part.regions, sum(len(other.labels) for other in parts))
        parts.append(replace(part, boxes=part.boxes + np.array([left, top, left, top], np.float32)))
    return _joined(image, regions, parts)


def mixup(first: Sample, second: Sample, rng: np.random.Generator, *, power: float = 8.0) -> Sample:
    """Two pictures of one size shown through each other, the first at least as strongly as the second.

    Boxes and visibility of both stay as they are. Of the regions: the first's objects keep their pixels; an object of
    the second keeps its own where no pixel of it lies under one of the first's, else it has a box alone, since half of
    an outline would teach a wrong mask; stuff is what both agree on, and void elsewhere.

    Args:
        first: a picture.
        second: another of the same size.
        rng: where chance comes from.
        power: of the beta distribution that the first's share comes from; the higher, the nearer to a half.

    Raises:
        ValueError: when their sizes differ.
    """
    if first.regions.shape != second.regions.shape:
        sizes = " and ".join(f"{sample.regions.shape[1]}x{sample.regions.shape[0]}" for sample in (first, second))
        raise ValueError(f"pictures of {sizes}; they must have one size")
    share = rng.beta(power, power)
    share = max(share, 1 - share)
    image = u8(cv2.addWeighted(first.image, share, second.image, 1 - share, 0.0))
    above = first.regions >= FIRST_OBJECT
    under = np.bincount(second.regions[above], minlength=256) > 0  # values of the second that the first's objects meet
    clear = np.arange(256) >= FIRST_OBJECT
    clear &= ~under
    regions = np.where(first.regions == second.regions, first.regions, np.uint8(0)).astype(np.uint16)
    regions[second.regions >= FIRST_OBJECT] = 0
    shown = clear[second.regions]
    regions[shown] = _numbered(second.regions, len(first.labels))[shown]
    regions[above] = first.regions[above]
    return _joined(image, regions, [first, second])


def copy_paste(
    sample: Sample,
    donor: Sample,
    rng: np.random.Generator,
    *,
    share: float = 0.5,
    most: int = 8,
    scales: tuple[float, float] = (0.6, 1.4),
) -> Sample:
    """Objects of the donor, by their masks, laid over the sample in other sizes and places.

    What they cover is less visible by the share of its pixels (of its box, where it has no mask), and its box shrinks
    to the pixels left.

    Args:
        sample: the picture below.
        donor: where objects come from; any size.
        rng: where chance comes from.
        share: chance of each object to be taken.
        most: how many at most.
        scales: least and greatest factor of an object's size.
    """
    wanted = np.flatnonzero((donor.visibility >= _PASTED_VISIBILITY) & (rng.random(len(donor.labels)) < share))
    image = sample.image.copy()
    height, width = sample.regions.shape
    layer = np.zeros((height, width), np.uint16)  # FIRST_OBJECT + index into `pasted`
    pasted: list[int] = []  # indices of the donor's objects
    places: list[tuple[slice, slice]] = []
    laid: list[int] = []  # how many pixels each had when it was laid
    for index in rng.permutation(wanted)[:most]:
        cut = _cut_out(donor, int(index), float(rng.uniform(*scales)), (height, width), flip=bool(rng.random() < 0.5))
        if cut is None:
            continue
        pixels, mask = cut
        place = _place(rng, height, mask.shape[0]), _place(rng, width, mask.shape[1])
        image[place][mask] = pixels[mask]
        layer[place][mask] = FIRST_OBJECT + len(pasted)
        pasted.append(int(index))
        places.append(place)
        laid.append(int(np.count_nonzero(mask)))
    if not pasted:
        return sample
    cover = layer > 0
    below = _covered(sample, cover)
    above = _pasted(donor, pasted, places, laid, layer)
    regions = np.where(cover, layer + np.uint16(len(below.labels)), _numbered(sample.regions, 0))
    return _joined(image, regions, [below, above])


def _cut_out(
    donor: Sample, index: int, scale: float, limits: tuple[int, int], *, flip: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """An object's pixels [h, w, 3] and mask [h, w] at another size, no larger than the limits; None if too small."""
    around = touched(donor.boxes[index], donor.regions.shape)
    mask = donor.regions[around] == FIRST_OBJECT + index
    if np.count_nonzero(mask) < _SMALLEST_PASTE:
        return None
    scale = min(scale, limits[0] / mask.shape[0], limits[1] / mask.shape[1])
    size = (max(int(mask.shape[1] * scale), 1), max(int(mask.shape[0] * scale), 1))
    pixels = u8(cv2.resize(donor.image[around], size, interpolation=cv2.INTER_LINEAR))
    mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if np.count_nonzero(mask) < _SMALLEST_PASTE:
        return None
    return (pixels[:, ::-1], mask[:, ::-1]) if flip else (pixels, mask)


def _place(rng: np.random.Generator, size: int, side: int) -> slice:
    start = int(rng.integers(0, size - side + 1))
    return slice(start, start + side)


def _covered(sample: Sample, cover: NDArray[np.bool_]) -> Sample:
    """The objects below the cover: less visible, their boxes around what is left of them."""
    boxes, visibility = sample.boxes.copy(), sample.visibility.copy()
    before = np.bincount(sample.regions.ravel(), minlength=256)
    hidden = np.bincount(sample.regions[cover], minlength=256)
    for index, box in enumerate(sample.boxes):
        value = FIRST_OBJECT + index
        around = touched(box, cover.shape)
        if before[value]:
            left = 1 - hidden[value] / before[value]
            if hidden[value]:
                boxes[index] = _shrunk(box, (sample.regions[around] == value) & ~cover[around], around)
        else:
            left = float(np.mean(~cover[around])) if cover[around].size else 0.0
            boxes[index, 2:] = box[2:] if left else box[:2]
        visibility[index] *= left
    return replace(sample, boxes=boxes, visibility=visibility)


def _shrunk(box: NDArray[np.float32], mask: NDArray[np.bool_], around: tuple[slice, slice]) -> NDArray[np.float32]:
    """The part of a box around the mask that lies in it; empty where nothing does."""
    extent = _extent(mask) + np.array([around[1].start, around[0].start] * 2, np.float32)
    low, high = np.maximum(box[:2], extent[:2]), np.minimum(box[2:], extent[2:])
    return np.concatenate([low, np.maximum(low, high)]).astype(np.float32)


def _extent(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The tight box [4] around True; zeros where there is none."""
    left, top, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return np.array([left, top, left + w, top + h], np.float32)


def _pasted(
    donor: Sample,
    indices: list[int],
    places: list[tuple[slice, slice]],
    laid: list[int],
    layer: NDArray[np.uint16],
) -> Sample:
    """The objects that were laid over; a later one may hide a part of an earlier one."""
    boxes, left = np.zeros((len(indices), 4), np.float32), np.zeros(len(indices), np.float32)
    for index, (rows, columns) in enumerate(places):
        mask = layer[rows, columns] == FIRST_OBJECT + index
        left[index] = np.count_nonzero(mask) / laid[index]
        boxes[index] = _extent(mask) + np.array([columns.start, rows.start] * 2, np.float32)
    return replace(donor, boxes=boxes, labels=donor.labels[indices], visibility=donor.visibility[indices] * left)


def _numbered(regions: NDArray[np.uint8], first: int) -> NDArray[np.uint16]:
    """Regions with objects counted from `first`; wider, since several pictures may have more than bytes can number."""
    table = np.arange(256, dtype=np.uint16)
    table[FIRST_OBJECT:] += np.uint16(first)
    return np.asarray(cv2.LUT(regions, table), np.uint16)


def _joined(image: NDArray[np.uint8], regions: NDArray[np.uint16], parts: Sequence[Sample]) -> Sample:
    """One sample of the objects of all parts, which regions number in that order; those without a box go."""
    boxes = np.concatenate([part.boxes for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    visibility = np.concatenate([part.visibility for part in parts])
    kept = np.flatnonzero(areas(boxes) > 0)
    spare = kept[:0]
    if len(kept) > MAX_OBJECTS:
        by_size = kept[np.argsort(-areas(boxes[kept]), kind="stable")]
        kept, spare = np.sort(by_size[: MAX_OBJECTS - 1]), by_size[MAX_OBJECTS - 1 :]
    table = np.zeros(FIRST_OBJECT + len(boxes), np.uint8)
    table[:FIRST_OBJECT] = np.arange(FIRST_OBJECT)
    table[FIRST_OBJECT + kept] = FIRST_OBJECT + np.arange(len(kept))
    around, label = _union(boxes[spare]), labels[spare[:1]]
    return Sample(
        image,
        _looked_up(table, regions),
        np.concatenate([boxes[kept], around]).astype(np.float32),
        np.concatenate([labels[kept], label]),
        np.concatenate([visibility[kept], np.zeros(len(around))]).astype(np.float32),
        _known(parts),
    )


def _looked_up(table: NDArray[np.uint8], regions: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """`table[regions]`, by bytes where they do: five times faster."""
    if len(table) > 256:
        return table[regions]
    return u8(cv2.LUT(regions.astype(np.uint8), np.pad(table, (0, 256 - len(table)))))


def _union(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """One box around all, [1, 4]; [0, 4] for none."""
    if not len(boxes):
        return boxes
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]


def _known(parts: Sequence[Sample]) -> NDArray[np.bool_] | None:
    """Classes known in every part; None (all of them) where every part says so."""
    stated = [part.known for part in parts if part.known is not None]
    return np.logical_and.reduce(stated) if stated else None
