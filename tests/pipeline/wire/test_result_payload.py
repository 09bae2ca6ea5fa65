"""Results as bytes: each kind carries what it should, and nothing is lost or invented on the way."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WireError
from pipeline.messages import NO_TRACK, Classes, Detections, FrameResult, Segments, Tracks
from pipeline.wire import RESULT_KINDS, Limits, ResultKind, decode_result, encode_result, select_kind
from pipeline.wire.cut import UnreadResult
from pipeline.wire.schema import ResultRecord
from tests.pipeline.wire.samples import empty_result, make_result, same

RESULTS = [make_result(), make_result(objects=0, segments=1), empty_result()]


def cut(result: FrameResult, kind: ResultKind) -> FrameResult:
    """What a reader of one kind should see: the slow, plain statement of what each kind leaves out."""
    none = np.zeros(0, dtype=np.int64)
    if kind == "boxes":
        no_ids = np.full(len(result.detections), NO_TRACK, dtype=np.int64)
        return replace(result, track_ids=no_ids, tracks=Tracks.empty(), panoptic=None)
    if kind == "tracks":
        return replace(result, panoptic=None)
    if kind == "masks":
        result = replace(result, detections=Detections.empty(), track_ids=none, tracks=Tracks.empty())
        if result.panoptic is not None:
            segments = result.panoptic.segments
            nowhere = np.full(len(segments), -1, dtype=np.int32)
            table = replace(segments, detection_index=nowhere)
            return replace(result, panoptic=replace(result.panoptic, segments=table))
    return result


@pytest.mark.parametrize("kind", RESULT_KINDS)
@pytest.mark.parametrize("result", RESULTS, ids=["full", "stuff only", "empty"])
def test_each_kind_survives_the_round_trip(result: FrameResult, kind: ResultKind) -> None:
    assert same(decode_result(encode_result(result, kind)), cut(result, kind))


@pytest.mark.parametrize("kind", RESULT_KINDS)
@pytest.mark.parametrize("result", RESULTS, ids=["full", "stuff only", "empty"])
def test_a_kind_cut_from_all_has_the_bytes_of_that_kind_coded(result: FrameResult, kind: ResultKind) -> None:
    assert select_kind(encode_result(result, "all"), kind) == encode_result(result, kind)


def test_only_all_can_be_cut() -> None:
    with pytest.raises(WireError, match="'boxes' cannot be cut to 'masks'"):
        select_kind(encode_result(make_result(), "boxes"), "masks")


def test_what_is_cut_unread_has_the_fields_of_a_result_in_their_order() -> None:
    unread, read = msgspec.structs.fields(UnreadResult), msgspec.structs.fields(ResultRecord)
    assert [(field.name, field.required) for field in unread] == [(field.name, field.required) for field in read]


@pytest.mark.parametrize("kind", RESULT_KINDS)
def test_what_is_nil_is_cut_like_what_is_left_out(kind: ResultKind) -> None:
    whole = msgspec.msgpack.decode(encode_result(empty_result())) | {"detections": None, "panoptic": None}
    assert same(decode_result(select_kind(msgspec.msgpack.encode(whole), kind)), cut(empty_result(), kind))


def test_a_cut_refuses_another_version_and_what_is_no_result() -> None:
    whole = msgspec.msgpack.decode(encode_result(make_result()))
    for change, told in (({"schema": "2.0"}, "version '2.0'"), ({"type": "gap"}, "gap"), ({"kind": 7}, "kind")):
        with pytest.raises(WireError, match=told):
            select_kind(msgspec.msgpack.encode(whole | change), "tracks")


@settings(max_examples=50, deadline=None)
@given(objects=st.integers(0, 40), segments=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_any_result_survives_the_round_trip(objects: int, segments: int, seed: int) -> None:
    result = make_result(objects=objects, segments=segments, height=12, width=20, seed=seed)
    assert same(decode_result(encode_result(result)), result)


def test_gap_before_is_the_header_s() -> None:
    data = encode_result(replace(make_result(), gap_before=9))
    assert decode_result(data).gap_before == 0
    assert decode_result(data, gap_before=4).gap_before == 4


def test_arrays_are_their_own_and_writable() -> None:
    result = decode_result(encode_result(make_result()))
    assert result.panoptic is not None
    for array in (result.detections.boxes, result.track_ids, result.tracks.states, result.panoptic.ids):
        assert array.flags.owndata or array.base is not None
        assert array.flags.writeable
        assert array.flags.aligned


def test_floats_that_are_no_numbers_pass_unjudged() -> None:
    result = make_result()
    boxes = result.detections.boxes.copy()
    boxes[0] = [np.nan, np.inf, -np.inf, -0.0]
    result = replace(result, detections=replace(result.detections, boxes=boxes))
    assert same(decode_result(encode_result(result)), result)


def test_columns_of_other_types_and_orders_are_coded_as_specified() -> None:
    result = make_result()
    odd = replace(result.detections, boxes=np.asfortranarray(result.detections.boxes.astype(">f8")))
    assert encode_result(replace(result, detections=odd), "boxes") == encode_result(result, "boxes")


def test_equal_classes_are_read_into_one_object() -> None:
    first, second = (decode_result(encode_result(make_result(seed=seed))) for seed in (1, 2))
    assert first.classes is second.classes


def test_an_id_that_the_segment_table_lacks_is_refused_on_both_sides() -> None:
    result = make_result()
    assert result.panoptic is not None
    bad = replace(result, panoptic=replace(result.panoptic, segments=Segments.empty()))
    with pytest.raises(ValueError, match=r"ids holds \[1, 2"):
        encode_result(bad)
    fields = msgspec.msgpack.decode(encode_result(result))
    fields["panoptic"]["segments"]["id"] = b"\xff\x7f\0\0" * fields["panoptic"]["segments"]["count"]
    with pytest.raises(WireError, match="not in the segment table"):
        decode_result(msgspec.msgpack.encode(fields))


def test_a_later_minor_version_with_unknown_fields_is_read() -> None:
    result = make_result()
    fields = msgspec.msgpack.decode(encode_result(result))
    fields |= {"schema": "1.7", "sound": {"deep": [1, {"deeper": b"x"}]}, "clock": "gps"}
    fields["detections"]["speed"] = b"new"
    fields["panoptic"]["segments"]["depth"] = b"new"
    assert same(decode_result(msgspec.msgpack.encode(fields)), replace(result, clock="gps"))  # type: ignore[arg-type]


def test_another_major_version_is_refused_by_name() -> None:
    for schema in ("2.0", "0.9", "11.0"):
        fields = {**msgspec.msgpack.decode(encode_result(make_result())), "schema": schema}
        with pytest.raises(WireError, match=rf"schema version '{schema}'; this reader reads 1.x"):
            decode_result(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("source_id",), "a/b", "source_id"),
        (("source_id",), "..", "source_id"),
        (("source_id",), "door\n", "source_id"),
        (("epoch",), 0, "epoch"),
        (("seq",), -1, "seq"),
        (("time_base",), [1, 0], "time_base"),
        (("time_base",), [1, 2, 3], "time_base"),
        (("width",), 0, "width"),
        (("height",), 1 << 31, "height"),
        (("height",), 1 << 30, "picture: 1920x1073741824"),
        (("kind",), "frame", "kind"),
        (("type",), "gap", "Invalid value"),
        (("detections", "count"), 5, "detections.box: 96 bytes for 5 rows of 16; 80 are needed"),
        (("detections", "count"), 1 << 30, "detections: 1073741824 declared; at most 10000"),
        (("detections", "label"), b"\xff" * 24, r"detections.label: values -1..-1; 0..4"),
        (("detections", "label"), b"\x05\0\0\0" * 6, r"detections.label: values 5..5; 0..4"),
        (("detections", "track_id"), b"\xfe" + b"\xff" * 7 + bytes(40), "detections.track_id: values -2..0"),
        (("tracks", "id"), bytes(48), r"tracks.id: values 0..0"),
        (("tracks", "state"), b"\x09" * 6, r"tracks.state: values 9..9; 0..4"),
        (("tracks", "detection_index"), b"\x06\0\0\0" * 6, r"tracks.detection_index: values 6..6; -1..5"),
        (("panoptic", "width"), 97, "id map: runs cover 5184 pixels"),
        (("panoptic", "transform"), [1.0, 0.0, 0.0, 0.0], "scales above 0"),
        (("panoptic", "transform"), [1.0, float("nan"), 0.0, 0.0], "finite numbers"),
        (("panoptic", "transform"), [1.0, 1.0, float("inf"), 0.0], "finite numbers"),
        (("panoptic", "segments", "is_thing"), b"\x02" * 8, r"segments.is_thing: values 2..2; 0..1"),
        (("panoptic", "segments", "count"), 1 << 30, "segments: 1073741824 declared"),
        (("panoptic", "id_map"), b"", "not a whole zstd frame"),
        (("classes", "things"), ["x" * 257], "length <= 256"),
        (("classes",), 5, "Expected `object`"),
        (("tracks", "count"), 1 << 20, "tracks: 1048576 declared; at most 10000"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_wrong_is_named(path: tuple[str, ...], value: object, said: str) -> None:
    fields = msgspec.msgpack.decode(encode_result(make_result()))
    part = fields
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(WireError, match=said):
        decode_result(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(message_bytes=100), "at most 100 are accepted"),
        (Limits(picture_pixels=1920 * 1080 - 1), "picture: 1920x1080"),
        (Limits(detections=5), "detections: 6 declared"),
        (Limits(tracks=5), "tracks: 6 declared"),
        (Limits(segments=2), "segments: 8 declared"),
        (Limits(classes=4), "classes: 5 declared"),
        (Limits(words=1), "timings.stage_ms: 2 declared"),
        (Limits(runs=3), "id map: zstd frame declares"),
    ],
)
def test_limits_are_the_reader_s_to_choose(limits: Limits, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode_result(encode_result(make_result()), limits=limits)


def test_a_whole_result_of_many_classes_stays_small() -> None:
    names = tuple(f"class number {i}" for i in range(133))
    result = replace(make_result(objects=10), classes=Classes(names[:80], names[80:]))
    assert len(encode_result(result, "boxes")) < 3_500
    assert Fraction(*msgspec.msgpack.decode(encode_result(result))["time_base"]) == Fraction(1, 90_000)
