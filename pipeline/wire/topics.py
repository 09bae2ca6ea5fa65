"""Topics: ``<source_id>/<kind>/``, terminated because ZeroMQ matches prefixes (``door/`` must not match ``doorbell``).

What is made only for those who ask for it by name has a ``+`` behind the source, ``door+/masks.coco/``: no source has
one in its name, so ``door/``, every kind of it, does not bring what somebody else asked for.

The source that stands for all, with an empty id, has one topic, ``/status/``: every source's status, so that a reader
can find out which sources there are.
"""

from __future__ import annotations

from typing import Literal, get_args

from pipeline.errors import WireError

ResultKind = Literal["boxes", "tracks", "masks", "all"]
MaskForm = Literal["masks.half", "masks.quarter", "masks.crops", "masks.polygons", "masks.coco"]
Kind = Literal[
    "boxes",
    "tracks",
    "masks",
    "all",
    "status",
    "masks.half",
    "masks.quarter",
    "masks.crops",
    "masks.polygons",
    "masks.coco",
    "frame",
    "events",
]

RESULT_KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
MASK_FORMS: tuple[MaskForm, ...] = get_args(MaskForm)
ASKED_KINDS: tuple[Kind, ...] = (
    *MASK_FORMS,
    "frame",
    "events",
)  # made where they are asked for by name
KINDS: tuple[Kind, ...] = (*RESULT_KINDS, "status")  # what ``door/`` brings
EVERY_KIND: tuple[Kind, ...] = (*KINDS, *ASKED_KINDS)
EVERY_SOURCE = ""
ASKED = "+"
LONGEST_TOPIC = 64 + len("+/masks.polygons/")


def topic_of(source_id: str, kind: Kind) -> bytes:
    """The first part of a message: ``b"door/tracks/"``, ``b"door+/masks.coco/"``."""
    return f"{source_id}{ASKED if kind in ASKED_KINDS else ''}/{kind}/".encode()


def asked_prefix(source_id: str) -> bytes:
    """What every topic of a source begins with that is sent only where it is asked for by name."""
    return f"{source_id}{ASKED}/".encode()


def parse_topic(topic: bytes) -> tuple[str, Kind]:
    """`(source_id, kind)`. Raises `WireError` if it is not a topic."""
    try:
        source, kind, rest = topic.decode().split("/")
    except ValueError as exc:  # includes UnicodeDecodeError
        raise WireError(f"topic {topic[:80]!r} is not of the form <source_id>/<kind>/") from exc
    if kind not in EVERY_KIND or rest or len(topic) > LONGEST_TOPIC:
        raise WireError(f"topic {topic[:80]!r}: kind is one of {', '.join(EVERY_KIND)}, between the only two '/'")
    source_id = source.removesuffix(ASKED) if kind in ASKED_KINDS else source
    if topic_of(source_id, kind) != topic:
        raise WireError(f"topic {topic[:80]!r}: what is sent only where it is asked for has a '+' behind its source")
    return source_id, kind
