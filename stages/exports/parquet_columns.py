"""The columns of the two tables: name, type, what is in it. README.md has the same in words."""

from __future__ import annotations

from typing import Final, NamedTuple

import pyarrow as pa

TIME: Final = pa.timestamp("ns", tz="UTC")


class Column(NamedTuple):
    """One column."""

    name: str
    type: pa.DataType
    text: str
    nullable: bool = False


FRAME: Final = (
    Column("source_id", pa.string(), "the source's name"),
    Column("epoch", pa.int32(), "the source's session, from 1; a change of picture size begins another"),
    Column("seq", pa.int64(), "number of the frame within its epoch, from 0"),
    Column("frame", pa.int64(), "number of the frame within the recording, from 0"),
    Column("pts_seconds", pa.float64(), "presentation time, seconds as the container counts", nullable=True),
    Column("capture_time", TIME, "when it was captured, UTC", nullable=True),
    Column("width", pa.int32(), "of the picture, pixels", nullable=True),
    Column("height", pa.int32(), "of the picture, pixels", nullable=True),
    Column("analysed", pa.bool_(), "false: the network did not see the frame; boxes are the tracker's", nullable=True),
)

OBJECTS: Final = (
    *FRAME,
    Column("object", pa.int32(), "row among the frame's objects, from 0"),
    Column("track_id", pa.int64(), "identity over time within source and epoch; null: not followed", nullable=True),
    Column("track_state", pa.string(), "tentative or confirmed; null: not followed", nullable=True),
    Column("label", pa.int32(), "index of the class"),
    Column("class_name", pa.string(), "name of the class"),
    Column("score", pa.float32(), "0 to 1, after suppression"),
    Column("raw_score", pa.float32(), "0 to 1, as the network gave it"),
    Column("x1", pa.float32(), "left edge of the box, pixels of the picture"),
    Column("y1", pa.float32(), "upper edge of the box, pixels of the picture"),
    Column("x2", pa.float32(), "right edge of the box, pixels of the picture"),
    Column("y2", pa.float32(), "lower edge of the box, pixels of the picture"),
    Column("mask_area", pa.int64(), "pixels of the picture in the object's mask; null: it has none", nullable=True),
    Column("mask", pa.string(), "COCO's run lengths (counts) for a size of [height, width]; null: none", nullable=True),
)

FRAMES: Final = (
    *FRAME,
    Column("gap", pa.string(), "why the frame has no result; null: it has one", nullable=True),
    Column("discontinuity", pa.bool_(), "the time line was broken just before it", nullable=True),
    Column("objects", pa.int32(), "rows of the other table that are of this frame"),
    Column("tracks", pa.int32(), "of these, followed and confirmed"),
    Column("masks", pa.bool_(), "whether there is a map of the frame"),
)


def schema_of(columns: tuple[Column, ...], facts: dict[str, str]) -> pa.Schema:
    """The schema, with what is in a column as its `description`, and `facts` about the whole."""
    fields = [pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.text}) for c in columns]
    return pa.schema(fields, metadata=facts)
