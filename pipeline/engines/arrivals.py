"""What the publishers of a run send to the program that reads along, as results and gaps in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipeline.ledger import Ledger
from pipeline.messages import FrameResult, Gap
from pipeline.wire import decode_result
from pipeline.workers.messages import Declared, Delivered, Over


class Decode(Protocol):
    """Makes a result of its payload."""

    def __call__(self, payload: bytes, /, *, gap_before: int) -> FrameResult:
        """The result."""


class Arrivals:
    """Gives every frame once, as a result or in a gap, also those that were lost with a publisher on their way here."""

    def __init__(self, *, decode: Decode = decode_result) -> None:
        self._decode = decode
        self._ledger = Ledger()

    def items(self, message: Delivered | Declared | Over, payload: bytes) -> Iterator[FrameResult | Gap]:
        """What a message gives; nothing, where it only repeats."""
        source = self._ledger[message.source_id]
        if isinstance(message, Declared):
            yield from source.lost(message.epoch, message.first_seq, message.last_seq, message.reason)
        elif isinstance(message, Over):
            yield from source.close(message.epoch, message.captured, "worker_restart")
        elif (settled := source.result(message.epoch, message.seq)) is not None:
            yield from settled.gaps
            yield self._decode(payload, gap_before=settled.gap_before)
