"""Classes as a recipe names them: a known list, or its own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pipeline.config.settings import Settings
from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy, world_taxonomy

KnownClasses = Literal["embedded", "world"]


class ClassSettings(Settings, frozen=True):
    """The classes to tell apart, each with other names that it gathers."""

    things: Annotated[
        dict[str, list[str]], Meta(description="Countable classes in order, each with further names it gathers.")
    ]
    stuff: Annotated[dict[str, list[str]], Meta(description="The others, likewise.")] = msgspec.field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if both := [name for name in self.things if name in self.stuff]:
            raise ValueError(f"{both[0]} is among things and among stuff; it is one of them")

    def taxonomy(self) -> Taxonomy:
        """The classes. Raises `ConfigError`."""
        gathers = {name: tuple(others) for name, others in (self.things | self.stuff).items()}
        return Taxonomy(classes=Classes(tuple(self.things), tuple(self.stuff)), gathers=gathers)


def named_taxonomy(classes: KnownClasses | ClassSettings) -> Taxonomy:
    """The classes that are named. Raises `ConfigError`."""
    if isinstance(classes, ClassSettings):
        return classes.taxonomy()
    if classes == "world":
        return world_taxonomy()
    from stages.models.labelled.embedded import EMBEDDED_TAXONOMY

    return EMBEDDED_TAXONOMY
