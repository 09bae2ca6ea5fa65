"""What tests of Redis Streams share: items to store, a sink, waiting, and what a stream holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import RedisConfig
from pipeline.messages import FrameResult, Gap
from pipeline.stage import Place
from pipeline.wire import Header, decode_gap, decode_header, decode_result, encode_result
from stages.publish.redis import RedisSink
from tests.pipeline.wire.samples import make_result
from tests.redis_server import RedisServer

PATIENCE_SECONDS = 60.0
RESULT = make_result()
SESSION = 7


def until(true: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def result(seq: int, *, epoch: int = 1, source_id: str = "door") -> FrameResult:
    return replace(RESULT, source_id=source_id, epoch=epoch, seq=seq)


def sink_at(server: RedisServer, folder: Path, **settings: Any) -> RedisSink:
    session, now_ns = settings.pop("session", SESSION), settings.pop("now_ns", time.time_ns)
    quick = {"timeout_seconds": 2.0, "connect_timeout_seconds": 1.0}
    return RedisSink(RedisConfig(url=server.url, **{**quick, **settings}), folder, session=session, now_ns=now_ns)


def put(sink: RedisSink, item: FrameResult | Gap, number: int, *, session: int = SESSION, gap_before: int = 0) -> None:
    """As the publisher hands it over."""
    place = Place(session, number)
    if isinstance(item, Gap):
        sink.write_gap(item, place=place)
    else:
        coded = encode_result(item)
        sink.write_result(item.source_id, item.epoch, item.seq, coded, gap_before=gap_before, place=place)


def put_results(
    sink: RedisSink, seqs: range, *, epoch: int = 1, source_id: str = "door", session: int = SESSION
) -> None:
    """Results whose numbers are their `seq` plus one."""
    for seq in seqs:
        put(sink, result(seq, epoch=epoch, source_id=source_id), seq + 1, session=session)


def settled(sink: RedisSink) -> bool:
    return sink.progress().waiting == 0


def stored(server: RedisServer, stream: str = "everyframe:door/tracks") -> list[tuple[str, Header, FrameResult | Gap]]:
    """Every entry: id, header, item."""
    found: list[tuple[str, Header, FrameResult | Gap]] = []
    for at, fields in server.entries(stream):
        header = decode_header(fields[b"header"])
        payload = fields[b"payload"]
        if header.type == "gap":
            found.append((at, header, decode_gap(payload)))
        else:
            found.append((at, header, decode_result(payload, gap_before=header.gap_before)))
    return found


def frames_of(server: RedisServer, stream: str = "everyframe:door/tracks") -> list[tuple[int, int, bool]]:
    """`(epoch, seq, has a result)` of every frame the stream tells of, in its order."""
    frames = []
    for _, _, item in stored(server, stream):
        first, last = (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)
        frames += [(item.epoch, seq, not isinstance(item, Gap)) for seq in range(first, last + 1)]
    return frames


def missed(headers: list[Header]) -> int:
    """Messages that a reader of these would count as missed."""
    from pipeline.client import TopicCount

    count = TopicCount()
    for header in headers:
        count.see(header)
    return count.missed
