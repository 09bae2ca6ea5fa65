"""Data entries of a recipe: where labelled pictures lie, in which form, and how much of them is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pipeline.config.settings import Settings
from pipeline.errors import ConfigError
from stages.models.labelled.census import check_labelled
from stages.models.labelled.parts import Part, Progress, check_any, choose
from stages.models.labelled.pictures import NoPictures, Pictures
from stages.models.labelled.taxonomy import Taxonomy

Folder = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
ClassName = Annotated[str, Meta(min_length=1, max_length=64)]
ClassId = Annotated[int, Meta(ge=0, le=65_535)]
Byte = Annotated[int, Meta(ge=0, le=255)]
# A list, not a tuple: msgspec 0.22 breaks down on a number with limits or a tuple of such.
Colour = Annotated[list[Byte], Meta(min_length=3, max_length=3)]


class DataEntry(Settings, frozen=True, kw_only=True, tag_field="kind"):
    """What entries of every kind share."""

    weight: Annotated[
        float, Meta(ge=0, le=1000, description="How often its pictures are drawn, beside their number. 0: never.")
    ] = 1.0
    hold_out: Annotated[
        float, Meta(ge=0, lt=1, description="Share of the pictures, told by their names, that is never learnt from.")
    ] = 0.0
    limit: Annotated[Count | None, Meta(description="Most pictures taken, spread evenly over all. Null: all.")] = None
    known: Annotated[
        list[ClassName] | None,
        Meta(
            description="Classes of which every object is labelled, so that its absence means something. "
            "Null: those things that the labels name at all."
        ),
    ] = None

    def chosen(
        self, keys: Sequence[str], name: object, *, part: Part, groups: Sequence[str] | None = None
    ) -> list[int]:
        """Indices of the pictures it takes of a part, as `parts.choose`. Raises `DataError` where there is none."""
        chosen = choose(keys, hold_out=self.hold_out, part=part, limit=self.limit, groups=groups)
        check_any(chosen, str(name), of=len(keys), hold_out=self.hold_out, part=part)
        return chosen


class WorldSpec(DataEntry, frozen=True, kw_only=True, tag="world"):
    """Frames of the synthetic street, rendered on first use and kept."""

    worlds: Annotated[int, Meta(ge=1, le=1_000_000, description="How many streets.")] = 3000
    first_seed: Annotated[int, Meta(ge=0, le=1_000_000_000, description="Seed of the first; the next ones follow.")] = 0
    frames_per_world: Annotated[int, Meta(ge=1, le=1000, description="Frames taken of each street.")] = 4
    seconds_between: Annotated[float, Meta(gt=0, le=3600, description="How far apart these are.")] = 1.6
    cache: Annotated[
        str | None, Meta(description="Folder the rendered frames are kept in. Null: one in the user's cache.")
    ] = None
    processes: Annotated[int, Meta(ge=0, le=1024, description="That render. 0: one a core.")] = 0


class LabelledEntry(DataEntry, frozen=True, kw_only=True):
    """What entries of labelled files share."""

    missing: Annotated[
        Literal["refuse", "skip"],
        Meta(description="What comes of labels whose picture is not there: an error, or a remark."),
    ] = "refuse"
    rare: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of the pictures below which a class is rare; what it occurs in is learnt from more "
            "often, as the root of how much rarer it is (LVIS's repeat factors). 0: all alike.",
        ),
    ] = 0.0


class CocoSpec(LabelledEntry, frozen=True, kw_only=True, tag="coco"):
    """COCO instances: boxes with polygons or run lengths."""

    images: Annotated[Folder, Meta(description="Folder that the file names in the labels start from.")]
    labels: Annotated[Folder, Meta(description="The JSON file, as instances_train2017.json.")]


class CocoPanopticSpec(LabelledEntry, frozen=True, kw_only=True, tag="coco-panoptic"):
    """COCO panoptic: a JSON file and a PNG of segment ids a picture."""

    images: Annotated[Folder, Meta(description="Folder that the file names in the labels start from.")]
    labels: Annotated[Folder, Meta(description="The JSON file, as panoptic_train2017.json.")]
    segments: Annotated[
        str | None, Meta(description="Folder of the PNG files. Null: that beside the JSON file, of its name.")
    ] = None


class YoloSpec(LabelledEntry, frozen=True, kw_only=True, tag="yolo"):
    """A text file a picture, a line an object: class cx cy w h, or class and a polygon, as shares of the picture."""

    images: Annotated[Folder, Meta(description="Folder of the pictures, searched with all folders in it.")]
    labels: Annotated[
        str | None,
        Meta(description="Folder of the text files. Null: images' path with its last 'images' made 'labels'."),
    ] = None
    names: Annotated[
        list[ClassName] | str,
        Meta(
            description="Class names in order; or a file of them: YAML with `names:`, or a name a line; or coco: "
            "COCO's 80."
        ),
    ]
    unlabelled: Annotated[
        Literal["empty", "skip"],
        Meta(description="What a picture without a text file is: one without objects, or none of the set."),
    ] = "skip"


class LabelPngSpec(LabelledEntry, frozen=True, kw_only=True, tag="label-png"):
    """A PNG of class ids or colours a picture, as Cityscapes and CamVid have them."""

    images: Annotated[Folder, Meta(description="Folder of the pictures, searched with all folders in it.")]
    labels: Annotated[Folder, Meta(description="Folder of the PNG files, searched with all folders in it.")]
    image_suffix: Annotated[
        str | None, Meta(description="End of the pictures' names. Null: the layout's, else any picture's ending.")
    ] = None
    label_suffix: Annotated[
        str | None,
        Meta(description="End of the label files' names; what stands before it is the picture's. Null: the layout's."),
    ] = None
    instance_suffix: Annotated[
        str | None,
        Meta(
            description="End of files with class id x 1000 + number, that tell objects apart. Null: the layout's; "
            "without them, things are pixels of no certain object."
        ),
    ] = None
    layout: Annotated[
        Literal["own", "cityscapes", "camvid"], Meta(description="Suffixes and tables of a known set.")
    ] = "own"
    ids: Annotated[
        dict[ClassId, ClassName] | None, Meta(description="Names by pixel value. What is void is left out.")
    ] = None
    colours: Annotated[
        dict[ClassName, list[Byte | Colour]] | None,
        Meta(description="[red, green, blue] by name, or a list of several such."),
    ] = None
    void: Annotated[
        list[ClassId | Colour], Meta(description="Further values or colours that may occur and mean nothing.")
    ] = msgspec.field(default_factory=lambda: [255])


class VocSpec(LabelledEntry, frozen=True, kw_only=True, tag="voc"):
    """Pascal VOC: a folder with JPEGImages, Annotations, SegmentationClass, SegmentationObject and ImageSets."""

    folder: Annotated[Folder, Meta(description="As VOCdevkit/VOC2012.")]
    image_set: Annotated[
        str | None, Meta(description="A list in ImageSets, as Main/trainval. Null: every picture with labels.")
    ] = None
    labels: Annotated[
        Literal["boxes", "segmentation"], Meta(description="boxes: Annotations; segmentation: masks and void borders.")
    ] = "boxes"
    names: Annotated[
        list[ClassName] | None, Meta(description="Names of the segmentation's values from 1. Null: VOC's 20.")
    ] = None


class FootageSpec(DataEntry, frozen=True, kw_only=True, tag="footage"):
    """Recorded video without labels; a larger network's finds are taken for them.

    `hold_out` is the share of each file's time, at its end; `known` the classes that are asked for.
    """

    files: Annotated[list[str], Meta(min_length=1, description="Video files, folders, or patterns of them.")]
    teachers: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="Detectors that are believed: ONNX files, torchvision:NAME, transformers:FOLDER.",
        ),
    ]
    segmenter: Annotated[
        str | None, Meta(description="Semantic network, or everyframe-nano, that is believed about pixels. Null: void.")
    ] = None
    thresholds: Annotated[
        dict[ClassName, Annotated[float, Meta(gt=0, lt=1)]],
        Meta(
            description="Score by class from which a find is believed. Classes not named: from where nine finds in "
            "ten are found in the mirror image too."
        ),
    ] = msgspec.field(default_factory=dict)
    merge: Annotated[
        Literal["fusion", "agreement"],
        Meta(description="Several teachers: fusion: their mean score counts; agreement: all must be sure."),
    ] = "fusion"
    fps: Annotated[float, Meta(gt=0, le=1000, description="Frames a second that are looked at, at most.")] = 5.0
    frames: Annotated[Count, Meta(description="Most frames learnt from: those that differ.")] = 600
    cache: Annotated[
        str | None, Meta(description="Folder the labelled frames are kept in. Null: one in the user's cache.")
    ] = None


DataSpec = WorldSpec | CocoSpec | CocoPanopticSpec | YoloSpec | LabelPngSpec | VocSpec | FootageSpec


def open_pictures(
    spec: DataSpec, taxonomy: Taxonomy, *, part: Part = "all", progress: Progress | None = None
) -> Pictures:
    """The pictures of a data entry, with labels of the given classes.

    Labels are read here, pictures when they are asked for.

    Args:
        spec: the entry.
        taxonomy: the classes, and the names that each gathers.
        part: what is learnt from, what is held out, or both.
        progress: told of what takes long.

    Raises:
        ConfigError: for an entry that says what cannot be.
        DataError: for labels that cannot be read, are not of the pictures, or name no class of the taxonomy.
    """
    if part == "held-out" and not spec.hold_out:
        return NoPictures(f"nothing held out of {spec.__struct_config__.tag}")
    check_known(spec, taxonomy)
    opened: Pictures = _reader(spec)(spec, taxonomy, part=part, progress=progress)
    check_labelled(opened)
    return opened


def check_known(spec: DataEntry, taxonomy: Taxonomy) -> None:
    """Refuse `known` names that are no things of the taxonomy. Raises `ConfigError`."""
    for name in spec.known or ():
        if name not in taxonomy.things:
            allowed = ", ".join(taxonomy.things) or "none"
            raise ConfigError(f"data.known: {name!r} is no thing of the classes; {allowed} may be named")


def _reader(spec: DataSpec) -> Any:
    """What opens an entry; imported when it is needed."""
    match spec:
        case WorldSpec():
            from stages.models.labelled.world_pictures import open_world

            return open_world
        case CocoSpec():
            from stages.models.labelled.coco import open_coco

            return open_coco
        case CocoPanopticSpec():
            from stages.models.labelled.coco_panoptic import open_coco_panoptic

            return open_coco_panoptic
        case YoloSpec():
            from stages.models.labelled.yolo import open_yolo

            return open_yolo
        case LabelPngSpec():
            from stages.models.labelled.label_png import open_label_png

            return open_label_png
        case VocSpec():
            from stages.models.labelled.voc import open_voc

            return open_voc
        case FootageSpec():
            from stages.models.adaptation.footage import open_footage

            return open_footage
