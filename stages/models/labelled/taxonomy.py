"""Which classes a network tells apart, and which names of other people's labels each of them gathers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import ConfigError
from pipeline.messages import Classes
from stages.models.labelled.sample import FIRST_OBJECT

MOST_STUFF = FIRST_OBJECT - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """The classes, things first, and what they gather.

    Attributes:
        classes: things, then stuff; a label is an index into `classes.names`.
        gathers: other names by class: ``{"vegetation": ("tree-merged", "bush")}``. A class gathers its own name too.

    Raises:
        ConfigError: for a name in two classes, a class that is not there, no class, or more stuff than can be numbered.
    """

    classes: Classes
    gathers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.classes.names:
            raise ConfigError("classes: there is none; name at least one of things or stuff")
        if len(self.classes.stuff) > MOST_STUFF:
            raise ConfigError(f"classes.stuff: {len(self.classes.stuff)} of them; at most {MOST_STUFF}")
        owners: dict[str, str] = {}
        for name in (*self.classes.names, *self.gathers):
            if name not in self.classes.names:
                raise ConfigError(f"classes: {name!r} gathers names and is no class; there are {self.classes.names}")
            for other in {name, *self.gathers.get(name, ())}:
                if owners.setdefault(other, name) != name:
                    raise ConfigError(f"classes: {other!r} belongs to {owners[other]!r} and to {name!r}")

    @property
    def things(self) -> tuple[str, ...]:
        """Names of countable classes, by label."""
        return self.classes.things

    @property
    def stuff(self) -> tuple[str, ...]:
        """Names of the others; label = number of things + index."""
        return self.classes.stuff

    def label(self, name: str) -> int | None:
        """The label of the class that gathers a name; None where none does."""
        for label, own in enumerate(self.classes.names):
            if name == own or name in self.gathers.get(own, ()):
                return label
        return None

    def region(self, label: int) -> int:
        """The value of `Sample.regions` for a class of stuff. Raises `ValueError` for a thing."""
        if self.classes.is_thing(label):
            raise ValueError(f"{self.classes.names[label]} is a thing; its regions are numbered by object")
        return 1 + label - len(self.things)


def world_taxonomy() -> Taxonomy:
    """The synthetic street's own classes."""
    from stages.models.world import STUFF, THINGS

    return Taxonomy(classes=Classes(tuple(THINGS), tuple(STUFF)))
