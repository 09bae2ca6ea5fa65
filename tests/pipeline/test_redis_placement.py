"""Real workers and a real Redis: what the publisher settles stands there, whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Pipeline
from pipeline.api.health import readyz
from pipeline.api.metrics import metrics
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import SinkError
from tests.pipeline.engines import wait_for, worker_pid
from tests.redis_server import RedisServer
from tests.stages.publish.streams import frames_of, missed, stored

Start = Callable[..., RedisServer]
Make = Callable[..., LocalEngine]


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Make]:
    engines = []

    def make(server: RedisServer, *sources: str, **settings: Any) -> LocalEngine:
        values = {
            "sources": list(sources),
            "detector": "model?delay_ms=1",
            "publish": {"bind": "tcp://127.0.0.1:0"},
            "redis": {"url": server.url, "max_length": 1_000_000},
            "supervisor": {"state_directory": str(tmp_path / "state")},
        }
        engine = LocalEngine(check(parse({**values, **settings})), builder="tests.pipeline.fake_build")
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.close()


def test_a_file_is_stored_whole_and_its_ledger_says_so(redis_server: Start, engine_of: Make) -> None:
    server = redis_server()
    engine = engine_of(server, "a=clip.fake?frames=300", "b=other.fake?frames=50")
    wait_for(lambda: engine.finished)
    engine.stop()
    wait_for(lambda: engine.wait(0))
    assert frames_of(server, "everyframe:a/tracks") == [(1, seq, True) for seq in range(300)]
    assert frames_of(server, "everyframe:b/tracks") == [(1, seq, True) for seq in range(50)]
    counts = engine.sink_counts
    assert counts.taken["redis"] == counts.deferred["redis"].delivered == {"a": 300, "b": 50}
    assert counts.deferred["redis"].waiting == 0
    assert missed([header for _, header, _ in stored(server, "everyframe:a/tracks")]) == 0


def test_a_killed_publisher_leaves_no_hole(redis_server: Start, engine_of: Make) -> None:
    server = redis_server()
    engine = engine_of(server, "a=rtsp://fake?fps=100")
    wait_for(lambda: server.client.xlen("everyframe:a/tracks") > 20)
    os.kill(worker_pid(engine, "publisher", source=-1), signal.SIGKILL)
    wait_for(lambda: any(epoch == 2 for epoch, _, _ in frames_of(server, "everyframe:a/tracks")))
    engine.stop()
    wait_for(lambda: engine.wait(0))
    (source,) = engine.statistics().sources
    frames = frames_of(server, "everyframe:a/tracks")
    assert len(frames) == len({(epoch, seq) for epoch, seq, _ in frames}) == source.captured
    assert [(epoch, seq) for epoch, seq, _ in frames] == sorted((epoch, seq) for epoch, seq, _ in frames)


def test_how_redis_does_is_told(redis_server: Start, engine_of: Make) -> None:
    server = redis_server()
    engine = engine_of(server, "a=rtsp://fake?fps=50")
    wait_for(lambda: engine.sink_counts.deferred.get("redis") is not None)
    server.kill()
    wait_for(lambda: engine.sink_counts.deferred["redis"].waiting_bytes > 0)
    assert readyz(engine).status == 200
    assert json.loads(readyz(engine).body)["sinks"]["redis"]["reachable"] is False
    text = metrics(engine).body.decode()
    assert 'everyframe_sink_reachable{sink="redis"} 0.0' in text
    assert 'everyframe_sink_spooled_bytes{sink="redis"}' in text
    assert any("redis: takes nothing now" in complaint for complaint in engine.complaints)
    server.start()
    wait_for(lambda: engine.sink_counts.deferred["redis"].waiting_bytes == 0)
    assert 'everyframe_sink_reachable{sink="redis"} 1.0' in metrics(engine).body.decode()


def test_an_evicting_redis_ends_the_run_with_what_mends_it(redis_server: Start, engine_of: Make) -> None:
    with pytest.raises(SinkError, match="redis-cli config set maxmemory-policy noeviction"):
        engine_of(redis_server(maxmemory_policy="allkeys-lru"), "a=rtsp://fake?fps=50")


def test_without_workers_it_is_a_sink_like_any_other(redis_server: Start, tmp_path: Path) -> None:
    server = redis_server()
    redis = {"url": server.url, "spool_directory": str(tmp_path / "spool"), "kinds": ["boxes"]}
    clip = Path(__file__).parents[2] / "samples" / "crossing" / "crossing.mp4"
    pipeline = Pipeline(sources=[str(clip)], detector="none", redis=redis)
    count = sum(1 for _ in pipeline.run())
    assert frames_of(server, "everyframe:crossing/boxes") == [(1, seq, True) for seq in range(count)]
