"""What a probe and its child process tell each other: JSON, a message each."""

from __future__ import annotations

import msgspec

from pipeline.config import SourceConfig
from pipeline.messages.findings import Findings

MOST_BYTES = 1 << 16


class Job(msgspec.Struct, frozen=True):
    """What to look at, and for how long after its first frame."""

    source: SourceConfig
    seconds: float
    files_root: str | None = None


class Opening(msgspec.Struct, frozen=True, tag="opening"):
    """The child has loaded what it needs and begins."""


class Watching(msgspec.Struct, frozen=True, tag="watching"):
    """What is known so far; the first one tells that the source is open."""

    findings: Findings


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end: watched to the end, or `error`, the class of ours that ended it (empty for one that is not ours)."""

    error: str | None = None
    message: str = ""


Told = Opening | Watching | Done
