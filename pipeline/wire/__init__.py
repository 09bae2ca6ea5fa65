"""Results as bytes and back: topics, headers, payloads, the coded id map, a JSON form. README.md is the specification.

A message has three parts: topic, header, payload. Every malformed, oversized or foreign part raises `WireError`.
"""

from pipeline.wire.idmap import decode_id_map, encode_id_map
from pipeline.wire.json_form import gap_to_json, item_to_json, result_to_json, status_to_json
from pipeline.wire.json_reader import gap_from_json, item_from_json, result_from_json, status_from_json
from pipeline.wire.limits import DEFAULT_LIMITS, Limits
from pipeline.wire.records import (
    decode_gap,
    decode_header,
    decode_status,
    encode_gap,
    encode_header,
    encode_status,
)
from pipeline.wire.result import decode_result, encode_result, select_kind
from pipeline.wire.schema import SCHEMA_VERSION, Header
from pipeline.wire.topics import EVERY_SOURCE, KINDS, RESULT_KINDS, Kind, ResultKind, parse_topic, topic_of

__all__ = [
    "DEFAULT_LIMITS",
    "EVERY_SOURCE",
    "KINDS",
    "RESULT_KINDS",
    "SCHEMA_VERSION",
    "Header",
    "Kind",
    "Limits",
    "ResultKind",
    "decode_gap",
    "decode_header",
    "decode_id_map",
    "decode_result",
    "decode_status",
    "encode_gap",
    "encode_header",
    "encode_id_map",
    "encode_result",
    "encode_status",
    "gap_from_json",
    "gap_to_json",
    "item_from_json",
    "item_to_json",
    "parse_topic",
    "result_from_json",
    "result_to_json",
    "select_kind",
    "status_from_json",
    "status_to_json",
    "topic_of",
]
