"""Ids that other schemas want, made from a result's identity: the same result gives the same ids, whoever asks."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from pipeline.messages import FrameResult

NAMESPACE: Final = UUID("5d1f8f0e-3b0c-5e0a-9a55-6f3c1b7d2e44")  # ours; any constant would do


def name_of(result: FrameResult) -> str:
    """`source_id/epoch/seq`."""
    return f"{result.source_id}/{result.epoch}/{result.seq}"


def uuid_of(name: str) -> str:
    """A UUID (version 5) that only this name gives."""
    return str(uuid5(NAMESPACE, name))
