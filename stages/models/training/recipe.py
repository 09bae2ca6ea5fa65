"""A recipe: everything that decides what a training gives, as one YAML document."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pipeline.config.settings import Settings
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from stages.models.labelled.class_settings import ClassSettings, KnownClasses, named_taxonomy
from stages.models.labelled.specs import DataSpec
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import STRIDES, NanoConfig
from stages.models.training.augment import AugmentSettings
from stages.models.training.losses import LossSettings

Side = Annotated[int, Meta(ge=32, le=4096, multiple_of=STRIDES[-1])]
Rate = Annotated[float, Meta(gt=0, le=10)]


class LearntClasses(ClassSettings, frozen=True):
    """Classes of which at least one is countable: a network has a head of boxes."""

    things: Annotated[
        dict[str, list[str]],
        Meta(min_length=1, description="Countable classes in order, each with further names it gathers."),
    ]


class NetworkSettings(Settings, frozen=True):
    """The shape of everyframe-nano."""

    backbone: Annotated[
        Literal["csp", "shufflenet"], Meta(description="csp: the project's own; shufflenet: V2 x0.5.")
    ] = "shufflenet"
    pyramid: Annotated[int, Meta(ge=8, le=512, description="Channels of every pyramid level.")] = 64
    mask_width: Annotated[int, Meta(ge=8, le=512, description="Channels under prototypes and semantic map.")] = 40
    coefficients: Annotated[int, Meta(ge=1, le=256, description="Prototypes, and mask coefficients a box.")] = 24
    bins: Annotated[
        int, Meta(ge=0, le=64, description="Boxes as distributions over so many strides. 0: centre and size.")
    ] = 0

    def __post_init__(self) -> None:
        if self.bins == 1:
            raise ValueError("bins is 1; it is 0, or 2 and more")


class OptimiserSettings(Settings, frozen=True):
    """How weights follow gradients."""

    kind: Literal["adamw", "sgd"] = "adamw"
    rate: Annotated[Rate, Meta(description="The highest learning rate.")] = 1.5e-3
    backbone_rate: Annotated[float, Meta(ge=0, le=10, description="The backbone's, as a share of it.")] = 1.0
    weight_decay: Annotated[float, Meta(ge=0, le=10, description="Not of norms and biases.")] = 0.02
    clip: Annotated[float, Meta(gt=0, description="Longest gradient.")] = 10.0
    average: Annotated[float, Meta(ge=0, lt=1, description="Decay of the averaged weights, which are kept.")] = 0.998


class ScheduleSettings(Settings, frozen=True):
    """How the learning rate goes over the training."""

    kind: Literal["cosine", "poly", "one-cycle", "constant"] = "cosine"
    warm_up: Annotated[float, Meta(ge=0, lt=1, description="Share of the steps in which the rate rises.")] = 0.03


class TeacherSettings(Settings, frozen=True):
    """A larger detector whose answer at every cell is learnt from too, on whatever pictures there are."""

    model: Annotated[str, Meta(min_length=1, description="An ONNX file in YOLOX's layout.")]
    names: Annotated[list[str] | None, Meta(description="Its classes in order. Null: COCO's 80.")] = None
    weight: Annotated[float, Meta(gt=0, le=100, description="How much it counts beside the labels.")] = 1.0
    except_of: Annotated[list[str], Meta(description="Kinds of data on which it is not asked.")] = msgspec.field(
        default_factory=lambda: ["world"]
    )


class Recipe(Settings, frozen=True):
    """How a network is trained, and on what."""

    data: Annotated[list[DataSpec], Meta(min_length=1, description="What is learnt from; stages/models/labelled.")]
    classes: Annotated[
        KnownClasses | LearntClasses,
        Meta(description="embedded: those of everyframe-nano; world: those of the synthetic street; or names."),
    ] = "embedded"
    network: NetworkSettings = NetworkSettings()
    start: Annotated[str | None, Meta(description="A checkpoint, or an exported .onnx, to start from.")] = None
    backbone_weights: Annotated[
        str | None, Meta(description="Published ShuffleNetV2 x0.5 weights (.pth) to start the backbone from.")
    ] = None
    parts: Annotated[
        Literal["all", "heads", "boxes", "masks"],
        Meta(description="What is trained; heads: all but backbone and pyramid; boxes: the head of boxes; masks: the "
             "maps."),
    ] = "all"  # fmt: skip
    width: Annotated[Side, Meta(description="Of a picture as it is learnt from, pixels.")] = 416
    height: Annotated[Side, Meta(description="Likewise.")] = 416
    sizes: Annotated[
        list[Annotated[float, Meta(gt=0, le=4)]], Meta(min_length=1, description="Factors of it, one drawn a batch.")
    ] = msgspec.field(default_factory=lambda: [1.0])
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    teacher: TeacherSettings | None = None
    steps: Annotated[int, Meta(ge=1, le=100_000_000, description="How many steps.")] = 20_000
    batch: Annotated[int, Meta(ge=1, le=4096, description="Pictures a step, over all copies.")] = 16
    copies: Annotated[int, Meta(ge=0, le=64, description="Processes that train together. 0: one a core, on a CPU.")] = 0
    threads: Annotated[int, Meta(ge=0, le=1024, description="Of each copy. 0: as many cores as it has.")] = 0
    readers: Annotated[int, Meta(ge=0, le=64, description="Processes that prepare pictures, for each copy.")] = 1
    device: Annotated[str, Meta(description="auto, cpu, cuda or cuda:N.")] = "auto"
    precision: Annotated[
        Literal["auto", "f32", "bf16"], Meta(description="auto: bf16 where the machine computes in it.")
    ] = "auto"
    seed: Annotated[int, Meta(ge=0, le=2**31)] = 0
    checkpoint_every: Annotated[int, Meta(ge=1, description="Steps from one checkpoint to the next.")] = 500
    validate_every: Annotated[
        int, Meta(ge=0, description="Steps from one look at held-out pictures to the next. 0: none.")
    ] = 1000
    validation_pictures: Annotated[int, Meta(ge=1, le=100_000, description="How many of them are looked at.")] = 64

    def taxonomy(self) -> Taxonomy:
        """The classes. Raises `ConfigError`."""
        return named_taxonomy(self.classes)

    def as_it_is(self) -> Recipe:
        """The recipe by which pictures are seen whole and unchanged, for measuring."""
        still = AugmentSettings(
            whole=1, mirror=0, colour=0, channels=0, repaint=0, blur=0, noise=0, mosaic=0, mixup=0, copy_paste=0
        )
        return msgspec.structs.replace(self, augment=still, sizes=[1.0])

    def fingerprint(self) -> str:
        """Sixteen letters that change with all that decides what is learnt: not with where and how fast it is."""
        defaults = {name: _DEFAULTS[name] for name in _MACHINE}
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, **defaults))).hexdigest()[:16]

    def network_config(self, taxonomy: Taxonomy) -> NanoConfig:
        """The shape of the network for these classes."""
        return NanoConfig(
            things=len(taxonomy.things),
            classes=len(taxonomy.classes.names),
            **msgspec.structs.asdict(self.network),
        )


# Settings that may change while a training is under way.
_MACHINE = (
    "copies", "threads", "readers", "device", "checkpoint_every", "validate_every", "validation_pictures",
)  # fmt: skip
_DEFAULTS = {one.name: one.default for one in msgspec.structs.fields(Recipe)}


def read_recipe(path: Path, changes: dict[str, Any] | None = None) -> Recipe:
    """The recipe in a file; paths in it are relative to where the command runs.

    Args:
        path: a YAML file.
        changes: settings that take the place of the file's.

    Raises:
        ConfigError: naming the file and the setting.
    """
    document = read_yaml(path, what="recipe")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a recipe is a table of settings with at least `data`")
    try:
        return msgspec.convert({**document, **(changes or {})}, Recipe)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
