"""Lines and zones in a source's picture, as a file tells them: what is counted, and where.

Coordinates are kept as fractions of the picture's width and height, so that a source whose picture has another size
than the file was drawn on is still counted at the same places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from pipeline.config.settings import Settings
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

MOST_PLACES: Final = 256  # lines, and zones, in a file
MOST_POINTS: Final = 256
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f/]{1,64}$", description="1 to 64 characters, none of them '/'.")]
Point = tuple[float, float]


class PlaceConfig(Settings, frozen=True, kw_only=True):
    """What lines and zones share."""

    name: Name
    points: Annotated[list[Point], Meta(description="[[x, y], ...], in the unit that `coordinates` says.")]
    classes: Annotated[
        list[str] | None, Meta(description="Names of the classes that are looked at. Null: all of them.")
    ] = None
    sources: Annotated[
        list[str], Meta(description="Names of sources, or patterns (`gate*`), in whose pictures it lies.")
    ] = msgspec.field(default_factory=lambda: ["*"])

    def lies_in(self, source_id: str) -> bool:
        """Whether it is in this source's picture."""
        return any(fnmatchcase(source_id, pattern) for pattern in self.sources)


class LineConfig(PlaceConfig, frozen=True, kw_only=True):
    """A line that tracks cross, one way or the other."""

    directions: Annotated[
        tuple[Name, Name],
        Meta(description="Words for crossing it from left to right, looking along the points, and the other way."),
    ] = ("forward", "backward")


class ZoneConfig(PlaceConfig, frozen=True, kw_only=True):
    """An area that tracks enter and leave."""

    min_dwell_seconds: Annotated[
        float, Meta(ge=0, le=86_400, description="A visit counts once it has lasted so long.")
    ] = 0.0


class ZonesConfig(Settings, frozen=True, kw_only=True):
    """A zones file."""

    coordinates: Annotated[
        Literal["fractions", "pixels"], Meta(description="Of the picture's width and height, or its pixels.")
    ]
    picture: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_536)], Annotated[int, Meta(ge=1, le=65_536)]] | None,
        Meta(description="[width, height] of the picture that pixels were measured in."),
    ] = None
    anchor: Annotated[
        Literal["bottom", "centre"],
        Meta(description="The point of a box that counts: the middle of its foot, or its own."),
    ] = "bottom"
    margin: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="How far from a line or an edge a track must be for having crossed or left, in sizes of its "
            "box (the square root of its area); what trembles nearer than that counts once.",
        ),
    ] = 0.1
    lines: list[LineConfig] = msgspec.field(default_factory=list)
    zones: list[ZoneConfig] = msgspec.field(default_factory=list)

    def fractions_of(self, place: PlaceConfig) -> list[Point]:
        """Its points, of the picture's width and height."""
        if self.picture is None:
            return list(place.points)
        width, height = self.picture
        return [(x / width, y / height) for x, y in place.points]


def load_zones(path: str | Path) -> ZonesConfig:
    """Lines and zones from a YAML file. Raises `ConfigError` naming the file and the path within it."""
    return parse_zones(read_yaml(path, what="zones file"), origin=str(path))


def parse_zones(values: Any, *, origin: str = "zones") -> ZonesConfig:
    """Lines and zones from plain values. Raises `ConfigError` with the path of the first fault."""
    try:
        config = msgspec.convert(values, ZonesConfig)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{origin}: {_readable(str(exc))}") from None
    try:
        _check(config)
    except ConfigError as exc:
        raise ConfigError(f"{origin}: {exc}") from None
    return config


def check_classes(config: ZonesConfig, source_id: str, class_names: Sequence[str], *, origin: str) -> None:
    """Refuse classes that the model of a source does not know. Raises `ConfigError`."""
    for kind, places in (("lines", config.lines), ("zones", config.zones)):
        for i, place in enumerate(places):
            unknown = [name for name in place.classes or () if name not in class_names]
            if unknown and place.lies_in(source_id):
                raise ConfigError(
                    f"{origin}: {kind}[{i}].classes: {unknown[0]!r} is no class of {source_id}'s model; "
                    f"{', '.join(class_names)} are"
                )


_FIELDS: Final[dict[str, type[msgspec.Struct]]] = {"lines": LineConfig, "zones": ZoneConfig}


def _readable(message: str) -> str:
    """msgspec's message with the path first, and for a key that is not known those that are."""
    text, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    owner = _FIELDS.get(path.partition("[")[0], ZonesConfig)
    if unknown := re.search(r"unknown field `(.*)`", text):
        text = f"unknown key {unknown[1]!r}; {', '.join(owner.__struct_fields__)} are known"
    elif missing := re.search(r"missing required field `(.*)`", text):
        text = f"{missing[1]} is missing"
        if missing[1] == "coordinates":
            text += "; 'fractions' or 'pixels' is needed"
    elif "Invalid enum value" in text:
        allowed = {"coordinates": "fractions or pixels", "anchor": "bottom or centre"}.get(path, "")
        text = f"{text.removeprefix('Invalid enum value ')} is not allowed; {allowed} is"
    elif "matching regex" in text:
        text = "1 to 64 characters are needed, none of them '/' or a control character"
    elif path == "" and "Expected `object`" in text:
        text = f"{text}; a mapping with coordinates, lines and zones is needed"
    return f"{path}: {text}" if path else text


def _check(config: ZonesConfig) -> None:
    if (config.coordinates == "pixels") != (config.picture is not None):
        if config.picture is None:
            raise ConfigError("picture: missing; with coordinates: pixels, [width, height] of the picture is needed")
        raise ConfigError(f"picture: {list(config.picture)} has no meaning with coordinates: fractions; leave it out")
    if not config.lines and not config.zones:
        raise ConfigError("neither lines nor zones are in it; at least one is needed")
    _check_names(config)
    for kind, places, least in (("lines", config.lines, 2), ("zones", config.zones, 3)):
        if len(places) > MOST_PLACES:
            raise ConfigError(f"{kind}: {len(places)} are given; at most {MOST_PLACES} are allowed")
        for i, place in enumerate(places):
            _check_place(f"{kind}[{i}]", place, config)
            _check_points(f"{kind}[{i}].points", config.fractions_of(place), place, least)


def _check_names(config: ZonesConfig) -> None:
    first: dict[str, str] = {}
    for kind, places in (("lines", config.lines), ("zones", config.zones)):
        for i, place in enumerate(places):
            before = first.setdefault(place.name, f"{kind}[{i}]")
            if before != f"{kind}[{i}]":
                raise ConfigError(f"{kind}[{i}].name: {place.name!r} is the name of {before} too; each needs its own")


def _check_place(path: str, place: PlaceConfig, config: ZonesConfig) -> None:
    for setting in ("classes", "sources"):
        given = getattr(place, setting)
        if given is not None and not all(given):
            raise ConfigError(f"{path}.{setting}: a name is empty; leave {setting} out for all")
        if given == []:
            raise ConfigError(f"{path}.{setting}: none is given; leave it out for all")
    if isinstance(place, LineConfig) and place.directions[0] == place.directions[1]:
        raise ConfigError(f"{path}.directions: both are {place.directions[0]!r}; two different words are needed")
    width, height = config.picture or (1, 1)
    for i, (x, y) in enumerate(place.points):
        if not (0 <= x <= width and 0 <= y <= height):  # as not-a-number is not, either
            raise ConfigError(
                f"{path}.points[{i}]: [{x:g}, {y:g}] is outside of the picture; "
                f"0 to {width} and 0 to {height} are allowed with coordinates: {config.coordinates}"
            )


def _check_points(path: str, points: Sequence[Point], place: PlaceConfig, least: int) -> None:
    kind = "a line" if least == 2 else "a zone"
    if not least <= len(points) <= MOST_POINTS:
        raise ConfigError(f"{path}: {len(points)} given; {kind} has {least} to {MOST_POINTS}")
    following = [*points[1:], points[0]] if least == 3 else points[1:]
    for i, (one, other) in enumerate(zip(points, following, strict=False)):
        if one == other:
            nth = f"{path}[{i}] and [{(i + 1) % len(points)}]"
            raise ConfigError(f"{nth}: both are {list(place.points[i])}; neighbours must differ (a zone closes itself)")
    if least == 3:
        _check_polygon(path, points)


def _check_polygon(path: str, points: Sequence[Point]) -> None:
    count = len(points)
    edges = [(points[i], points[(i + 1) % count]) for i in range(count)]
    for i in range(count):
        for j in range(i + 2, count):
            if (j + 1) % count != i and _cross(*edges[i], *edges[j]):
                raise ConfigError(
                    f"{path}: the edge from point {i} crosses the one from point {j}; "
                    "name the corners in order, along the outline"
                )
    doubled = math.fsum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in edges)
    if abs(doubled) < 1e-9:
        raise ConfigError(f"{path}: the corners lie on one line; a zone needs an area")


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two edges that are no neighbours meet."""
    ab_c, ab_d, cd_a, cd_b = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if ab_c * ab_d < 0 and cd_a * cd_b < 0:
        return True
    touching = ((a, b, c, ab_c), (a, b, d, ab_d), (c, d, a, cd_a), (c, d, b, cd_b))
    return any(turn == 0 and _within(p, q, r) for p, q, r, turn in touching)


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _within(a: Point, b: Point, c: Point) -> bool:
    """Whether a point on the straight line through `a` and `b` lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
