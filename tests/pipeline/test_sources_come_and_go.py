"""Sources added to, removed from and paused in a running local engine: accounted for, and unnoticed by the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Subscriber
from pipeline.config import SourceConfig, check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import AddressError, EveryframeError, UsageError
from pipeline.messages import SourceStatus
from tests.pipeline.engines import Reader, check_in_order, gaps, luma, results, status_of, wait_for, worker_pid

BUILDER = "tests.pipeline.fake_build"
CAMERA = "rtsp://fake?fps=50"


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines that run, and are closed at the end, whatever happens."""
    engines = []

    def make(*sources: Any, deliver: bool = True, **settings: Any) -> LocalEngine:
        supervisor = {"state_directory": str(tmp_path / "state"), **settings.pop("supervisor", {})}
        values = {"publish": {"bind": None}, **settings, "sources": list(sources), "detector": "model?delay_ms=1"}
        engine = LocalEngine(check(parse({**values, "supervisor": supervisor})), deliver=deliver, builder=BUILDER)
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.close()


def names(engine: LocalEngine) -> set[str]:
    return {status.source_id for status in engine.statistics().sources}


def test_a_source_comes_and_goes_while_another_loses_nothing(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}")
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 5)
    assert engine.add_source(f"b={CAMERA}") == "b"
    reader.until(lambda items: len(results(items, "b")) >= 5)
    before = status_of(engine, "b")
    assert (before.state, before.balance) == ("STREAMING", 0)
    engine.remove_source("b")
    seen = len(results(reader.items, "a"))
    reader.until(lambda items: "b" not in names(engine) and len(results(items, "a")) >= seen + 5)
    engine.stop()
    items = reader.rest()
    for source_id in ("a", "b"):
        check_in_order(items, source_id)
        assert {item.epoch for item in items if item.source_id == source_id} == {1}
    assert not {gap.reason for gap in gaps(items, "a")} - {"late", "backlog"}  # those a starved machine may cause
    assert engine.complaints == ()


def test_the_last_status_of_a_removed_source_is_published_once(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}", "b=rtsp://fake?fps=50", deliver=False, publish={"bind": "tcp://127.0.0.1:*"})
    told: list[SourceStatus] = []
    with Subscriber(engine.address, topics=["b/status", "a/status"]) as subscriber:
        statuses = (item for item in subscriber.items() if isinstance(item, SourceStatus))

        def listen(enough: Callable[[], bool]) -> None:
            while not enough():
                told.append(next(statuses))

        listen(lambda: any(status.source_id == "b" and status.resulted > 5 for status in told))
        engine.remove_source("b")
        listen(lambda: any(status.state == "REMOVED" for status in told))
        after = len(told)
        listen(lambda: len([status for status in told[after:] if status.source_id == "a"]) >= 3)
    last = [status for status in told if status.source_id == "b"]
    assert [status.state for status in last].count("REMOVED") == 1
    assert last[-1].state == "REMOVED"
    assert last[-1].captured == last[-1].resulted + sum(last[-1].dropped.values())
    assert (last[-1].in_flight, last[-1].balance, last[-1].message) == (0, 0, "")


def test_a_name_may_be_used_again_and_its_epochs_grow(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}", "clip=clip.fake?frames=20&fps=100")
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "clip")) == 20 and len(results(items, "a")) >= 5)
    engine.remove_source("a")
    engine.add_source("a=rtsp://fake?fps=50&width=32")  # at once: it waits until the first has gone
    engine.remove_source("clip")
    engine.add_source("clip=clip.fake?frames=10")
    items = reader.until(lambda items: len(results(items, "clip")) == 30 and results(items, "a")[-1].epoch == 2)
    for source_id in ("a", "clip"):
        check_in_order(items, source_id)
    assert {(item.epoch, item.width) for item in results(items, "a")} == {(1, 64), (2, 32)}
    assert [luma(item) for item in results(items, "clip")] == [*range(20), *range(10)]
    assert status_of(engine, "clip").captured == 10


def test_a_paused_camera_gives_nothing_and_no_gap_tells_of_the_time(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}", f"b={CAMERA}")
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 5 and len(results(items, "b")) >= 5)
    engine.pause_source("a")
    engine.pause_source("a")  # twice does no harm
    reader.until(lambda items: status_of(engine, "a").state == "PAUSED" and not status_of(engine, "a").in_flight)
    paused = status_of(engine, "a")
    assert (paused.balance, paused.retry_in_seconds, paused.frame_rate) == (0, None, 0.0)
    wait_for(lambda: engine._roster.members[0].seat.child is None)
    seen = len(results(reader.items, "b"))
    reader.until(lambda items: len(results(items, "b")) >= seen + 10)
    assert status_of(engine, "a").captured == paused.captured
    engine.resume_source("a")
    items = reader.until(lambda items: results(items, "a")[-1].epoch == 2)
    check_in_order(items, "a")
    assert {worker.restarts for worker in engine.vitals().workers} == {0}
    assert not {gap.reason for gap in gaps(items, "a")} - {"shutdown", "late", "backlog"}
    assert engine.complaints == ()
    assert not engine.finished


def test_a_paused_recording_goes_on_where_it_was(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=200&fps=100")
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 5)
    engine.pause_source("a")
    wait_for(lambda: status_of(engine, "a").state == "PAUSED")
    wait_for(lambda: status_of(engine, "a").in_flight == 0)
    captured = status_of(engine, "a").captured
    assert captured < 200
    assert not engine.finished
    engine.resume_source("a")
    items = reader.rest()
    assert [luma(item) for item in results(items, "a")] == list(range(200))
    assert ({item.epoch for item in items}, gaps(items, "a")) == ({1}, [])
    assert engine.finished


@pytest.mark.parametrize("role", ["camera", "vision", "publisher"])
def test_a_source_is_removed_although_a_worker_dies(engine_of: Callable[..., LocalEngine], role: str) -> None:
    engine = engine_of(f"a={CAMERA}", f"b={CAMERA}")
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 5 and len(results(items, "b")) >= 5)
    os.kill(worker_pid(engine, role, source=1 if role == "camera" else -1), signal.SIGSTOP)
    engine.remove_source("b")
    reader.until(lambda items: "b" not in names(engine))
    seen = len(results(reader.items, "a"))
    items = reader.until(lambda items: len(results(items, "a")) >= seen + 5)
    for source_id in ("a", "b"):
        check_in_order(items, source_id)
    assert status_of(engine, "a").balance == 0


def test_what_cannot_be_is_refused_with_the_reason(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}", "clip=clip.fake?frames=5", supervisor={"max_sources": 2})
    wait_for(lambda: status_of(engine, "clip").state == "ENDED")
    refused: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: engine.add_source(f"a={CAMERA}"), UsageError, "'a' is there already"),
        (lambda: engine.add_source(f"c={CAMERA}"), UsageError, "max_sources: 2 sources take part"),
        (lambda: engine.add_source("c=ftp://x/y"), AddressError, "scheme"),
        (lambda: engine.remove_source("z"), UsageError, "no source is called 'z'; there are a, clip"),
        (lambda: engine.pause_source("z"), UsageError, "no source is called 'z'"),
        (lambda: engine.pause_source("clip"), UsageError, "has ended"),
        (lambda: engine.resume_source("a"), UsageError, "is not paused"),
    ]
    for ask, kind, words in refused:
        with pytest.raises(kind, match=words):
            ask()
    engine.stop()
    with pytest.raises(EveryframeError, match="has stopped"):
        engine.add_source(f"d={CAMERA}")


def test_removing_all_and_adding_another_keeps_the_run_alive(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}")
    reader = Reader(engine)
    reader.until(lambda items: len(items) > 3)
    engine.remove_source("a")
    wait_for(lambda: not names(engine))
    assert not engine.finished
    engine.add_source(SourceConfig(url="clip.fake?frames=7", source_id="clip"))
    assert len(results(reader.rest(), "clip")) == 7
    assert engine.finished


def test_nothing_is_left_of_sources_that_came_and_went(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CAMERA}", deliver=False, supervisor={"max_sources": 3})
    wait_for(lambda: status_of(engine, "a").resulted > 3)
    pids = [os.getpid(), worker_pid(engine, "vision"), worker_pid(engine, "publisher")]

    def a_round(number: int) -> list[int]:
        for name in ("b", "c"):
            engine.add_source(f"{name}-{number}=rtsp://fake?fps=50")
        wait_for(lambda: {f"b-{number}", f"c-{number}"} <= names(engine))
        if number % 2:  # half of them are removed before they have begun
            wait_for(lambda: status_of(engine, f"b-{number}").resulted > 0)
        for name in ("b", "c"):
            engine.remove_source(f"{name}-{number}")
        wait_for(lambda: len(engine._roster.members) == 1)
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]

    first = a_round(1)
    assert [a_round(number) for number in range(2, 8)][-1] == first
    assert names(engine) == {"a"}
    assert status_of(engine, "a").epoch == 1
