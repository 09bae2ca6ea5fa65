"""What is to be written to Redis of one item, as it waits in memory or on disk."""

from __future__ import annotations

from typing import Literal

import msgspec

from pipeline.messages import Gap, GapReason
from pipeline.wire import ResultKind, select_kind


class Record(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A result, a gap, a status, or that an epoch is over, which tells where frames are missing at its end."""

    type: Literal["result", "gap", "status", "over"]
    source_id: str
    epoch: int
    first: int  # frames it speaks of; of a status its place in the stream
    last: int
    session: int
    number: int  # in that session; of what is over the last there was
    time_ns: int  # wall clock, when it was handed over
    gap_before: int = 0
    reason: GapReason = "sink_error"  # of a gap
    payloads: dict[str, bytes] = {}  # by kind; none of a gap, which is coded when it is written

    @property
    def gap(self) -> Gap:
        """The gap it speaks of."""
        return Gap(self.source_id, self.epoch, self.first, self.last, self.reason)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 200 + sum(map(len, self.payloads.values()))


def cut(record: Record, kinds: tuple[ResultKind, ...]) -> Record:
    """A result of kind `all` as the kinds that are stored. Raises `WireError`."""
    if record.type != "result":
        return record
    whole = record.payloads["all"]
    payloads = {str(kind): whole if kind == "all" else select_kind(whole, kind) for kind in kinds}
    return msgspec.structs.replace(record, payloads=payloads)


encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
