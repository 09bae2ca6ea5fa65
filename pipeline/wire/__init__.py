"""Results as bytes and back: topics, headers, payloads, the coded id map, a JSON form. README.md is the specification.

A message has three parts: topic, header, payload. Every malformed, oversized or foreign part raises `WireError`.
"""

from pipeline.wire.batch import encode_results
from pipeline.wire.coco import encode_coco
from pipeline.wire.cut import select_kind
from pipeline.wire.event import decode_event, encode_event
from pipeline.wire.idmap import decode_id_map, encode_id_map
from pipeline.wire.json_form import event_to_json, gap_to_json, item_to_json, result_to_json, status_to_json
from pipeline.wire.json_reader import (
    event_from_json,
    gap_from_json,
    item_from_json,
    result_from_json,
    status_from_json,
    tracks_from_line,
)
from pipeline.wire.limits import DEFAULT_LIMITS, Limits
from pipeline.wire.picture import decode_picture, encode_picture
from pipeline.wire.polygons import fill, trace
from pipeline.wire.records import (
    decode_gap,
    decode_header,
    decode_status,
    encode_gap,
    encode_header,
    encode_status,
)
from pipeline.wire.result import decode_result, encode_result
from pipeline.wire.schema import SCHEMA_VERSION, Header
from pipeline.wire.streams import EntryId, gap_id, parse_id, result_id, stream_of, topic_of_stream
from pipeline.wire.topics import (
    ASKED_KINDS,
    EVERY_KIND,
    EVERY_SOURCE,
    KINDS,
    MASK_FORMS,
    RESULT_KINDS,
    Kind,
    MaskForm,
    ResultKind,
    asked_prefix,
    parse_topic,
    topic_of,
)

__all__ = [
    "ASKED_KINDS",
    "DEFAULT_LIMITS",
    "EVERY_KIND",
    "EVERY_SOURCE",
    "KINDS",
    "MASK_FORMS",
    "RESULT_KINDS",
    "SCHEMA_VERSION",
    "EntryId",
    "Header",
    "Kind",
    "Limits",
    "MaskForm",
    "ResultKind",
    "asked_prefix",
    "decode_event",
    "decode_gap",
    "decode_header",
    "decode_id_map",
    "decode_picture",
    "decode_result",
    "decode_status",
    "encode_coco",
    "encode_event",
    "encode_gap",
    "encode_header",
    "encode_id_map",
    "encode_picture",
    "encode_result",
    "encode_results",
    "encode_status",
    "event_from_json",
    "event_to_json",
    "fill",
    "gap_from_json",
    "gap_id",
    "gap_to_json",
    "item_from_json",
    "item_to_json",
    "parse_id",
    "parse_topic",
    "result_from_json",
    "result_id",
    "result_to_json",
    "select_kind",
    "status_from_json",
    "status_to_json",
    "stream_of",
    "topic_of",
    "topic_of_stream",
    "trace",
    "tracks_from_line",
]
