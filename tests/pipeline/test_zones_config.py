"""A zones file: what is in it, and one clear error for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.zones_example import EXAMPLE
from pipeline.config.zones import ZonesConfig, load_zones, parse_zones
from pipeline.errors import ConfigError

LINE = {"name": "kerb", "points": [[0.1, 0.5], [0.9, 0.5]]}
ZONE = {"name": "square", "points": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}


def with_line(**changes: Any) -> dict[str, Any]:
    return {"coordinates": "fractions", "lines": [{**LINE, **changes}]}


def with_zone(**changes: Any) -> dict[str, Any]:
    return {"coordinates": "fractions", "zones": [{**ZONE, **changes}]}


def test_the_example_is_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(EXAMPLE)
    config = load_zones(path)
    assert [line.name for line in config.lines] == ["kerb"]
    assert config.lines[0].directions == ("in", "out")
    assert (config.zones[0].min_dwell_seconds, config.zones[0].lies_in("gate-1")) == (1.0, True)
    assert not config.zones[0].lies_in("yard")
    assert (config.anchor, config.margin) == ("bottom", 0.1)


def test_pixels_are_fractions_of_the_picture_they_were_drawn_on() -> None:
    pixels = {"coordinates": "pixels", "picture": [640, 360], "lines": [{**LINE, "points": [[0, 360], [320, 90]]}]}
    config = parse_zones(pixels)
    assert config.fractions_of(config.lines[0]) == [(0.0, 1.0), (0.5, 0.25)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (None, "Expected `object`, got `null`; a mapping with coordinates, lines and zones is needed"),
        ({"lines": [LINE]}, "coordinates is missing; 'fractions' or 'pixels' is needed"),
        ({"coordinates": "percent", "lines": [LINE]}, "coordinates: 'percent' is not allowed; fractions or pixels is"),
        ({"coordinates": "fractions"}, "neither lines nor zones are in it"),
        ({"coordinates": "pixels", "lines": [LINE]}, "picture: missing; with coordinates: pixels, [width, height]"),
        ({**with_line(), "picture": [64, 36]}, "picture: [64, 36] has no meaning with coordinates: fractions"),
        ({**with_line(), "lanes": []}, "unknown key 'lanes'; coordinates, picture, anchor, margin, lines, zones are"),
        ({**with_line(), "anchor": "top"}, "anchor: 'top' is not allowed; bottom or centre is"),
        ({**with_line(), "margin": -1}, "margin: Expected `float` >= 0"),
        (with_line(colour="red"), "lines[0]: unknown key 'colour'; name, points, classes, sources, directions are"),
        (with_line(name="a/b"), "lines[0].name: 1 to 64 characters are needed"),
        (with_line(points=[[0.1, 0.5]]), "lines[0].points: 1 given; a line has 2 to 256"),
        (with_line(points=[[0.1, 0.5], [0.1, 0.5]]), "lines[0].points[0] and [1]: both are [0.1, 0.5]"),
        (with_line(points=[[0.1, 0.5], [1.2, 0.5]]), "lines[0].points[1]: [1.2, 0.5] is outside of the picture; 0 to"),
        (with_line(points=[[0.1, 0.5], [float("nan"), 0.5]]), "lines[0].points[1]: [nan, 0.5] is outside"),
        (with_line(points=[[0.1, 0.5], [0.2]]), "lines[0].points[1]: Expected `array` of length 2, got 1"),
        (with_line(directions=["in", "in"]), "lines[0].directions: both are 'in'"),
        (with_line(classes=[]), "lines[0].classes: none is given; leave it out for all"),
        (with_line(sources=[""]), "lines[0].sources: a name is empty"),
        (with_zone(points=ZONE["points"][:2]), "zones[0].points: 2 given; a zone has 3 to 256"),
        (with_zone(points=[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]), "the edge from point 0 crosses the one"),
        (with_zone(points=[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]), "zones[0].points: the corners lie on one line"),
        (with_zone(points=[*ZONE["points"], ZONE["points"][0]]), "a zone closes itself"),
        (with_zone(min_dwell_seconds=-1), "zones[0].min_dwell_seconds: Expected `float` >= 0"),
        ({"coordinates": "fractions", "lines": [LINE], "zones": [{**ZONE, "name": "kerb"}]}, "is the name of lines[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path_and_what_is_allowed(values: object, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_zones(values, origin="zones.yaml")
    assert says in str(raised.value)
    assert str(raised.value).startswith("zones.yaml: ")


def test_a_file_that_is_not_there_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read as a zones file"):
        load_zones(tmp_path / "none.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("lines: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line 1: not valid YAML"):
        load_zones(path)


def test_a_concave_zone_is_allowed() -> None:
    points = [[0.1, 0.1], [0.5, 0.4], [0.9, 0.1], [0.5, 0.9]]
    assert isinstance(parse_zones(with_zone(points=points)), ZonesConfig)
