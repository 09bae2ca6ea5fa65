"""The page of the wire format says what the code does: every field, what may be absent, every word, the example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
import zstandard

from pipeline.messages import Clock, GapReason
from pipeline.messages.tracks import TrackState
from pipeline.states import SourceState
from pipeline.wire import EVERY_KIND, encode_id_map
from pipeline.wire import schema as wire
from tests.pipeline.wire.test_golden import IDS

PAGE = (Path(__file__).parents[3] / "pipeline" / "wire" / "README.md").read_text()

# Where each part is told of: from the text on, up to the other.
PLACES: dict[type[wire.Record], tuple[str, str]] = {
    wire.Header: ("**Header**", "\nA hole in"),
    wire.ResultRecord: ("## Result\n", "**Tables**"),
    wire.ClassesPart: ("| `classes` |", "\n"),
    wire.ModelPart: ("| `model` |", "\n"),
    wire.TimingsPart: ("| `timings?` |", "\n"),
    wire.DetectionTable: ("| `detections` |", "\n"),
    wire.TrackTable: ("| `tracks` |", "\n"),
    wire.SegmentTable: ("| `panoptic.segments` |", "\n"),
    wire.PanopticPart: ("**`panoptic`**", "\n"),
    wire.CropTable: ("| `masks.crops` |", "\n"),
    wire.PolygonTable: ("| `masks.polygons` |", "\n"),
    wire.FrameRecord: ('`type` `"frame"`', "\n"),
    wire.GapRecord: ("**Gap**", "\n"),
    wire.StatusRecord: ("**Status**", "\n## "),
    wire.LatencyPart: ("| `latency?` |", "\n"),
}
EVERY_TABLE = {"count"}  # told of all tables at once
ALWAYS_WRITTEN = "schema"  # though a reader does without


def place_of(part: type[wire.Record]) -> str:
    start, end = PLACES[part]
    assert PAGE.count(start) == 1, f"{start!r} is not where {part.__name__} can be found"
    return PAGE.partition(start)[2].partition(end)[0]


def parts(of: type[wire.Record] = wire.Record) -> Iterator[type[wire.Record]]:
    for part in of.__subclasses__():
        if part.__module__ == wire.__name__:
            yield part


@pytest.mark.parametrize("part", list(parts()), ids=lambda part: part.__name__)
def test_every_field_is_told_of_and_whether_it_may_be_absent(part: type[wire.Record]) -> None:
    told = place_of(part)
    for field in msgspec.structs.fields(part):
        if field.encode_name in EVERY_TABLE and part.__name__.endswith("Table"):
            continue
        is_optional = not field.required and field.encode_name != ALWAYS_WRITTEN
        name = f"`{field.encode_name}{'?' if is_optional else ''}`"
        assert name in told, f"{part.__name__}: the page has no {name} in its place"


def test_fields_that_are_told_of_are_there() -> None:
    for part in parts():
        known = {field.encode_name for field in msgspec.structs.fields(part)}
        for name in re.findall(r"`(\w+)\?`", place_of(part)):
            nested = {field.encode_name for other in parts() for field in msgspec.structs.fields(other)}
            assert name in known or (part in (wire.ResultRecord, wire.StatusRecord) and name in nested)


def test_every_word_is_told_of() -> None:
    words = [*get_args(Clock), *get_args(GapReason), *SourceState, *EVERY_KIND]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
    assert all(f"{state.value} {state.name.lower()}" in place_of(wire.TrackTable) for state in TrackState)


def test_the_version_is_the_one_of_the_code() -> None:
    assert PAGE.startswith(f"# The wire format, version {wire.SCHEMA_VERSION}\n")
    assert f'`"{wire.SCHEMA_VERSION}"`' in place_of(wire.Header)


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split()]


def test_the_example_of_the_id_map_is_true_step_by_step() -> None:
    block = PAGE.partition("An example, 6×4:")[2].split("```")[1]
    lengths = numbers(re.search(r"lengths ([\d ]+?)  ", block)[1])  # type: ignore[index]
    ids = numbers(re.search(r"ids +([\d ]+?)  ", block)[1])  # type: ignore[index]
    assert np.repeat(ids, lengths).reshape(4, 6).tolist() == IDS
    rows = re.findall(r"^(\d(?: \d){5})(?=  |$)", block, re.MULTILINE)
    assert [numbers(row) for row in rows] == IDS
    told = "  ".join(re.findall(r"((?:[0-9a-f]{2}(?: |×7|$)[ ]*){7,}.*|00×7.*)$", block, re.MULTILINE)[:2])
    planes = bytes.fromhex(re.sub(r"00×7", "00 " * 7, told))
    assert len(planes) == int(re.search(r"planes, (\d+) bytes", block)[1]) == 42  # type: ignore[index]
    assert zstandard.ZstdDecompressor().decompress(encode_id_map(np.array(IDS, dtype=np.uint16))) == planes
