"""A request to a running pipeline, and what it answers: `WireError`, or a message that is the same when sent again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pipeline.config import SourceConfig
from pipeline.control.protocol import (
    AddSource,
    Done,
    ListedSource,
    ListSources,
    PauseSource,
    Refused,
    Reload,
    Reloaded,
    RemoveSource,
    ResumeSource,
    Sources,
    encode,
    read_reply,
    read_request,
)
from pipeline.errors import WireError
from pipeline.messages import Latency, SourceStatus


def one_input(data: bytes) -> None:
    """The bytes as a request, and as a reply."""
    for read in (read_request, read_reply):
        with suppress(WireError):
            sent = encode(read(data))
            assert encode(read(sent)) == sent  # as bytes, since one that is no number equals nothing


def seeds() -> Iterator[bytes]:
    """Each kind of request and of reply."""
    source = SourceConfig(url="rtsp://user:${CAM}@127.0.0.1/a", source_id="door", max_pixels=1000)
    yield from map(encode, (AddSource(source), ListSources(), Reload(), RemoveSource("door")))
    yield from map(encode, (PauseSource("door"), ResumeSource("door"), Done("door"), Refused("UsageError", "no")))
    latency = Latency(1.5, 2.5, 3.5)
    status = SourceStatus(
        "door", "FAULTED", 3, message="no", dropped={"late": 2}, retry_in_seconds=1.5, latency=latency
    )
    yield encode(Sources("street", [ListedSource(status, "rtsp://***@127.0.0.1/a", added=True)]))
    yield encode(Reloaded(["a"], [], ["b"], 3))
