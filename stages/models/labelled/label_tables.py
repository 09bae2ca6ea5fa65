"""What the pixels of label PNGs mean: tables of Cityscapes and CamVid, and a recipe's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from stages.models.labelled.label_files import first_few
from stages.models.labelled.specs import LabelPngSpec
from stages.models.labelled.taxonomy import Taxonomy

VALUES: Final = 1 << 16
_VOID: Final = -1

CITYSCAPES: Final = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road", "sidewalk",
    "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole", "polegroup",
    "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus",
    "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
CAMVID: Final = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64), "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192), "SUVPickupTruck": (64, 128, 192), "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128), "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128), "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0), "Void": (0, 0, 0), "Wall": (64, 192, 0),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffixes:
    """Ends of the names of pictures, label files, and files that tell objects apart; None: any, none."""

    image: str | None
    label: str
    instance: str | None = None


_LAYOUTS: Final = {
    "own": Suffixes(image=None, label=".png"),
    "cityscapes": Suffixes(
        image="_leftImg8bit.png", label="_gtFine_labelIds.png", instance="_gtFine_instanceIds.png"
    ),
    "camvid": Suffixes(image=".png", label="_L.png"),
}  # fmt: skip


def suffixes_of(spec: LabelPngSpec) -> Suffixes:
    """Those of the entry, and else of its layout."""
    usual = _LAYOUTS[spec.layout]
    return Suffixes(
        image=usual.image if spec.image_suffix is None else spec.image_suffix,
        label=usual.label if spec.label_suffix is None else spec.label_suffix,
        instance=usual.instance if spec.instance_suffix is None else spec.instance_suffix or None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """From pixels to labels of a taxonomy.

    Attributes:
        names: every name that the pixels may have.
        in_colour: whether pixels are colours, not values.
        codes: values, or colours as red + 256 green + 65536 blue, ascending.
        labels: the taxonomy's label of each; -1: void.
    """

    names: tuple[str, ...]
    in_colour: bool
    codes: NDArray[np.int64]
    labels: NDArray[np.int64] = field(repr=False)

    def read(self, pixels: NDArray[np.integer]) -> NDArray[np.int64]:
        """[H, W] labels of values [H, W] or colours [H, W, 3]; -1: void.

        Raises:
            ValueError: for pixels of the other kind, or values that the table does not have.
        """
        codes = self._codes_of(pixels)
        at = self._at(codes)
        strange = self.codes[at] != codes
        if strange.any():
            values, counts = np.unique(codes[strange], return_counts=True)
            told = first_few([self._text(int(value)) for value in values])
            allowed = first_few([self._text(int(code)) for code in self.codes], 40)
            raise ValueError(f"{counts.sum()} pixels are {told}, which have no name; {allowed} have, or are void")
        return np.asarray(self.labels[at])

    def _at(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of each code in `codes`, where it is there."""
        if self.in_colour:
            return np.searchsorted(self.codes, codes).clip(0, len(self.codes) - 1)
        place_of = np.zeros(VALUES, np.int64)  # ten times as fast
        place_of[self.codes] = np.arange(len(self.codes))
        return np.asarray(place_of[codes.clip(0, VALUES - 1)])

    def _codes_of(self, pixels: NDArray[np.integer]) -> NDArray[np.int64]:
        if pixels.ndim == 3 and self.in_colour:
            return code_of(pixels)
        if pixels.ndim == 3:
            if (pixels[..., :1] != pixels).any():
                raise ValueError("pixels are colours; values are named (give colours, or grey or palette PNGs)")
            return pixels[..., 0].astype(np.int64)
        if self.in_colour:
            return code_of(np.repeat(pixels[..., None], 3, axis=2))  # grey is a colour too
        return pixels.astype(np.int64)

    def _text(self, code: int) -> str:
        return str([code & 255, code >> 8 & 255, code >> 16]) if self.in_colour else str(code)


def code_of(colours: NDArray[np.integer]) -> NDArray[np.int64]:
    """[..., 3] RGB -> [...] a number each."""
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    return np.asarray(red | green << 8 | blue << 16)


def table_of(spec: LabelPngSpec, taxonomy: Taxonomy) -> LabelTable:
    """The table that an entry names, or of its layout.

    Raises:
        ConfigError: for none or two tables, or a value or colour with two names.
    """
    if (spec.ids is not None) and (spec.colours is not None):
        raise ConfigError("data: ids and colours are both given; one tells what the pixels mean")
    if spec.ids is not None:
        named = [(value, name) for value, name in spec.ids.items()]
    elif spec.colours is not None:
        named = [(code, name) for name, colours in spec.colours.items() for code in _codes(name, colours)]
    elif spec.layout == "cityscapes":
        named = list(enumerate(CITYSCAPES))
    elif spec.layout == "camvid":
        named = [(int(code_of(np.array(colour))), name) for name, colour in CAMVID.items()]
    else:
        raise ConfigError("data: neither ids nor colours are given; one tells what the pixels mean")
    in_colour = spec.colours is not None or (spec.ids is None and spec.layout == "camvid")
    return _table(named, _void(spec, in_colour), in_colour, taxonomy)


def _codes(name: str, colours: Sequence[int | list[int]]) -> list[int]:
    if not colours:
        raise ConfigError(f"data.colours: {name}: no colour is given")
    several = [colours] if all(isinstance(part, int) for part in colours) else colours
    codes = []
    for colour in several:
        if not isinstance(colour, list | tuple) or len(colour) != 3:
            raise ConfigError(f"data.colours: {name}: {colour!r}; [red, green, blue] or a list of such is needed")
        codes.append(int(code_of(np.array(colour))))
    return codes


def _void(spec: LabelPngSpec, in_colour: bool) -> list[int]:
    if in_colour:
        return [int(code_of(np.array(one))) for one in spec.void if isinstance(one, list)]
    return [one for one in spec.void if isinstance(one, int)]


def _table(named: list[tuple[int, str]], void: list[int], in_colour: bool, taxonomy: Taxonomy) -> LabelTable:
    label_of = dict.fromkeys(void, _VOID)
    seen: dict[int, str] = {}
    for code, name in named:
        if seen.setdefault(code, name) != name:
            raise ConfigError(f"data: {name!r} and {seen[code]!r} have the same value or colour")
        label = taxonomy.label(name)
        label_of[code] = _VOID if label is None else label
    codes = np.array(sorted(label_of), np.int64)
    labels = np.array([label_of[code] for code in codes.tolist()], np.int64)
    return LabelTable(tuple(name for _, name in named), in_colour, codes, labels)
