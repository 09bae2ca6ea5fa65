"""What a reader asks for, as people write it: ``door``, ``door/tracks``, ``*/masks``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.address import check_source_id
from pipeline.errors import AddressError, UsageError
from pipeline.wire import EVERY_KIND, EVERY_SOURCE, Kind, topic_of

ANY_SOURCE = "*"


@dataclass(frozen=True, slots=True)
class Request:
    """One kind, or every kind, of one source, or of every source."""

    source_id: str | None  # None: every source
    kind: Kind | None  # None: every kind

    def prefix(self, source_id: str) -> bytes:
        """What to subscribe to for one source."""
        return f"{source_id}/".encode() if self.kind is None else topic_of(source_id, self.kind)


def parse_request(text: str) -> Request:
    """What a topic asks for. A source alone means its `all`; ``door/`` every kind of it.

    Raises:
        UsageError: an unknown kind, or a source that cannot be one.
    """
    source, slash, kind = text.partition("/")
    kind = kind if kind == "/" else kind.removesuffix("/")
    try:
        source_id = None if source == ANY_SOURCE else check_source_id(source)
    except AddressError as exc:
        raise UsageError(f"topic {text!r}: {exc}; '*' stands for every source") from exc
    if not kind:
        return Request(source_id, None if slash else "all")
    if kind not in EVERY_KIND:
        raise UsageError(f"topic {text!r}: kind {kind!r} is unknown; one of {', '.join(EVERY_KIND)} is needed")
    return Request(source_id, kind)


DISCOVERY_TOPIC = topic_of(EVERY_SOURCE, "status")
