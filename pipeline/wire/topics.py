"""Topics: ``<source_id>/<kind>/``, terminated because ZeroMQ matches prefixes (``door/`` must not match ``doorbell``).

The source that stands for all, with an empty id, has one topic, ``/status/``: every source's status, so that a reader
can find out which sources there are.
"""

from __future__ import annotations

from typing import Literal, get_args

from pipeline.errors import WireError

ResultKind = Literal["boxes", "tracks", "masks", "all"]
Kind = Literal["boxes", "tracks", "masks", "all", "status"]

RESULT_KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
KINDS: tuple[Kind, ...] = get_args(Kind)
EVERY_SOURCE = ""
LONGEST_TOPIC = 64 + len("/status/")


def topic_of(source_id: str, kind: Kind) -> bytes:
    """The first part of a message: ``b"door/tracks/"``."""
    return f"{source_id}/{kind}/".encode()


def parse_topic(topic: bytes) -> tuple[str, Kind]:
    """`(source_id, kind)`. Raises `WireError` if it is not a topic."""
    try:
        source_id, kind, rest = topic.decode().split("/")
    except ValueError as exc:  # includes UnicodeDecodeError
        raise WireError(f"topic {topic[:80]!r} is not of the form <source_id>/<kind>/") from exc
    if kind not in KINDS or rest or len(topic) > LONGEST_TOPIC:
        raise WireError(f"topic {topic[:80]!r}: kind is one of {', '.join(KINDS)}, between the only two '/'")
    return source_id, kind
