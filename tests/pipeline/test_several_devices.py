"""A vision worker a device: sources spread over them, and the end of one costs only its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.board import Board
from pipeline.build import build_graph
from pipeline.config import check, parse
from pipeline.config import gpus as gpus_module
from pipeline.config import pipeline as settings
from pipeline.engines.local import LocalEngine
from pipeline.errors import ConfigError
from pipeline.retry import RestartPolicy
from pipeline.seats import Seat
from pipeline.spread import labels, least_loaded, load_of
from tests.pipeline.engines import Reader, check_in_order, gaps, results, status_of, wait_for

CAMERA = "rtsp://fake?fps=25"
NAMES = ("a", "b", "c", "d")
TWO = "cuda:0,cuda:1"  # no such device is touched: the networks are fakes
OF_A_STARVED_MACHINE = {"late", "backlog"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def engine_of(state: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines that run, and are closed at the end, whatever happens."""
    engines = []

    def make(*names: str, device: Any = TWO, deliver: bool = True, source: str = CAMERA) -> LocalEngine:
        values = {
            "sources": [f"{name}={source}" for name in names],
            "detector": "model?delay_ms=1",
            "device": device,
            "publish": {"bind": None},
            "supervisor": {"state_directory": str(state)},
        }
        engine = LocalEngine(check(parse(values)), deliver=deliver, builder="tests.pipeline.devices_build")
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.close()


def vision(engine: LocalEngine, label: str) -> Seat:
    return next(seat for seat in engine._roster.visions if seat.label == label)


def kill(seat: Seat) -> int:
    child = seat.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    return child.pid


def replaced(seat: Seat, pid: int) -> Callable[[], bool]:
    return lambda: seat.ready and seat.child is not None and seat.child.pid != pid


def enough(*names: str, more: int = 8) -> Callable[[list[Any]], bool]:
    return lambda items: all(len(results(items, name)) >= more for name in names)


def grown(reader: Reader, *names: str, more: int = 8) -> None:
    """Read until each of these has so many results more."""
    seen = {name: len(results(reader.items, name)) for name in names}
    reader.until(lambda items: all(len(results(items, name)) >= seen[name] + more for name in names))


def accounted_for(engine: LocalEngine, reader: Reader, *names: str) -> None:
    """Nothing is missing once the run was stopped."""
    engine.stop()
    items = reader.rest()
    for name in names:
        check_in_order(items, name)
    statistics = engine.statistics()
    assert [source.balance for source in statistics.sources] == [0] * len(statistics.sources)
    assert statistics.ledger_violations == 0


def test_sources_are_spread_and_accounted_for(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(*NAMES)
    reader = Reader(engine)
    reader.until(enough(*NAMES))
    assert engine.devices() == {"a": "cuda:0", "b": "cuda:1", "c": "cuda:0", "d": "cuda:1"}
    assert "sources by device: cuda:0: a, c; cuda:1: b, d" in engine.statistics().notes
    workers = [worker for worker in engine.vitals().workers if worker.role == "vision"]
    assert [(worker.device, worker.up, worker.ready) for worker in workers] == [
        ("cuda:0", True, True),
        ("cuda:1", True, True),
    ]
    assert len({worker.pid for worker in workers}) == 2
    accounted_for(engine, reader, *NAMES)
    assert {item.epoch for item in reader.items} == {1}
    assert engine.complaints == ()


def test_the_same_device_twice_is_two_workers(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a", "b", device=["cpu", "cpu"])
    reader = Reader(engine)
    reader.until(enough("a", "b"))
    assert engine.devices() == {"a": "cpu#1", "b": "cpu#2"}
    accounted_for(engine, reader, "a", "b")


def test_files_end_on_every_device(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(*NAMES, source="clip.fake?frames=60&fps=0")
    reader = Reader(engine)
    reader.rest()
    assert [len(results(reader.items, name)) for name in NAMES] == [60] * 4
    assert engine.finished


def test_a_killed_vision_worker_costs_only_its_own_sources(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(*NAMES)
    reader = Reader(engine)
    reader.until(enough(*NAMES))
    seat = vision(engine, "cuda:1")
    pid = kill(seat)
    wait_for(replaced(seat, pid), "replaced")
    grown(reader, *NAMES)
    accounted_for(engine, reader, *NAMES)
    for name in ("a", "c"):
        assert {item.epoch for item in reader.items if item.source_id == name} == {1}
        assert {gap.reason for gap in gaps(reader.items, name)} <= OF_A_STARVED_MACHINE
    for name in ("b", "d"):
        assert max(item.epoch for item in results(reader.items, name)) == 2
        assert {gap.reason for gap in gaps(reader.items, name)} <= {"worker_restart", *OF_A_STARVED_MACHINE}
    assert any(gap.reason == "worker_restart" for name in ("b", "d") for gap in gaps(reader.items, name))
    assert vision(engine, "cuda:0").starts == 1
    assert ["the vision worker of cuda:1" in text for text in engine.complaints] == [True]


def test_a_killed_publisher_begins_anew_with_all(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(*NAMES)
    reader = Reader(engine)
    reader.until(enough(*NAMES))
    seat = engine._roster.publisher
    pid = kill(seat)
    wait_for(replaced(seat, pid), "replaced")
    wait_for(lambda: all(status.epoch == 2 for status in engine.statistics().sources), "all renewed")
    grown(reader, *NAMES)
    accounted_for(engine, reader, *NAMES)
    assert [vision.starts for vision in engine._roster.visions] == [1, 1]
    assert all(max(item.epoch for item in results(reader.items, name)) == 2 for name in NAMES)


def test_sources_come_and_go(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a", "b")
    reader = Reader(engine)
    reader.until(enough("a", "b"))
    engine.add_source(f"c={CAMERA}")
    engine.add_source(f"d={CAMERA}")
    reader.until(enough("c", "d"))
    devices = engine.devices()
    assert sorted(devices.values()) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
    engine.remove_source("a")
    wait_for(lambda: "a" not in engine.devices(), "gone")
    engine.add_source(f"e={CAMERA}")  # to where there is one fewer now
    reader.until(enough("e"))
    assert engine.devices()["e"] == devices["a"]
    engine.pause_source("b")
    wait_for(lambda: next(s for s in engine.statistics().sources if s.source_id == "b").state == "PAUSED", "paused")
    engine.resume_source("b")
    grown(reader, "b", "c", "d", "e")
    accounted_for(engine, reader, "a", "b", "c", "d", "e")


def test_a_device_that_is_lost_hands_its_sources_to_the_others(
    engine_of: Callable[..., LocalEngine], state: Path
) -> None:
    engine = engine_of(*NAMES)
    reader = Reader(engine)
    reader.until(enough(*NAMES))
    wait_for(lambda: all(seat.ready for seat in engine._roster.visions), "both work")
    (state / "lost-cuda:1").touch()
    lost, paused = vision(engine, "cuda:1"), next(seat for seat in engine._roster.cameras if seat.source == 3)
    assert lost.child is not None
    os.kill(lost.child.pid, signal.SIGSTOP)  # it holds what comes now, and is soon ended for that
    wait_for(lambda: status_of(engine, "d").in_flight > 0, "a frame in its hands")
    engine.pause_source("d")
    wait_for(lambda: paused.child is None, "paused")
    wait_for(lambda: set(engine.devices().values()) == {"cuda:0"}, "handed over")
    grown(reader, "a", "b", "c")
    wait_for(lambda: status_of(engine, "d").in_flight == 0, "what the dead one held of the paused is declared")
    engine.resume_source("d")
    grown(reader, *NAMES)
    assert engine.vitals().hindrances == ()
    (event,) = [event for event in engine.events_since(0)[0] if event.name == "device_lost"]
    assert "'cuda:1' is not there" in event.message
    assert "cuda:1 is given up, and its sources go to the others: b, d" in event.message
    assert "sources by device: cuda:0: a, b, c, d; cuda:1: none" in engine.statistics().notes
    engine.add_source(f"e={CAMERA}")
    reader.until(enough("e"))
    assert engine.devices()["e"] == "cuda:0"
    pid = kill(vision(engine, "cuda:0"))  # the last one is replaced as ever
    wait_for(replaced(vision(engine, "cuda:0"), pid), "replaced")
    grown(reader, *NAMES, "e")
    accounted_for(engine, reader, *NAMES, "e")
    assert {item.epoch for item in results(reader.items, "a")} == {1, 2}
    assert max(item.epoch for item in results(reader.items, "b")) == 3


def test_a_device_that_never_worked_ends_the_run(engine_of: Callable[..., LocalEngine], state: Path) -> None:
    (state / "lost-cuda:1").touch()
    with pytest.raises(ConfigError, match="'cuda:1' is not there"):
        wait_for(lambda: engine_of("a", deliver=False).wait(60.0), "an end")


# The choice


def seats(count: int) -> list[Seat]:
    memory = Board.create(workers=count, sources=1)
    try:
        board = Board(memory, workers=count, sources=1)
    finally:
        os.close(memory)
    return [Seat("vision", i, board.workers[i], RestartPolicy()) for i in range(count)]


def test_the_least_loaded_gets_the_next_source() -> None:
    first, second, third = seats(3)
    assert least_loaded([first, second], []) is first
    assert least_loaded([first, second], [(first, None)]) is second
    assert least_loaded([first, second], [(first, 9.0), (second, 4.0), (second, 4.0)]) is second
    # One that is not known counts as the average: 5.
    assert least_loaded([first, second], [(first, 8.0), (second, 2.0), (second, None)]) is second
    assert least_loaded([first, second], [(first, 6.0), (second, 4.0), (second, None)]) is first
    # Those of one that cannot be chosen count for the average alone.
    assert least_loaded([first, second], [(third, 100.0), (first, None), (second, None)]) is first


def test_a_load_is_known_once_picture_and_rate_are() -> None:
    memory = Board.create(workers=1, sources=1)
    try:
        cells = Board(memory, workers=1, sources=1).sources[0]
    finally:
        os.close(memory)
    assert load_of(cells) is None
    cells.camera.width, cells.camera.height = 1920, 1080
    assert load_of(cells) is None
    cells.camera.milli_fps = 25_000
    assert load_of(cells) == 1920 * 1080 * 25


def test_devices_are_told_apart() -> None:
    assert labels(["cuda:0", "cuda:1"]) == ["cuda:0", "cuda:1"]
    assert labels(["cuda:0", "cuda:1", "cuda:0"]) == ["cuda:0#1", "cuda:1", "cuda:0#2"]


# The setting


def devices_of(device: Any) -> tuple[str, ...]:
    return check(parse({"sources": ["a.mp4"], "device": device})).devices


def test_one_device_several_and_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_of("auto") == ("auto",)
    assert devices_of("cuda:0,cuda:1") == devices_of(["cuda:0", "cuda:1"]) == ("cuda:0", "cuda:1")
    monkeypatch.setattr(settings, "gpu_count", lambda: 1)
    assert devices_of("cuda") == ("cuda",)
    monkeypatch.setattr(settings, "gpu_count", lambda: 3)
    assert devices_of("cuda") == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_of("cuda:2") == ("cuda:2",)


@pytest.mark.parametrize("device", ["cpu,cuda:0", "auto,auto", "cuda,cuda:1", "cuda:0,", ["cuda:0", 1], []])
def test_what_is_no_device_is_refused(device: Any) -> None:
    with pytest.raises(ConfigError, match=r"device: .*\[cuda:0, cuda:1\]"):
        devices_of(device)


def test_several_in_one_process_are_refused() -> None:
    with pytest.raises(ConfigError, match="device: 'cpu,cpu' is several, which needs engine local"):
        build_graph(check(parse({"sources": ["a.mp4"], "device": "cpu,cpu"})))


def test_gpus_that_cuda_is_not_to_see_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus_module, "gpu_names", lambda: ["one", "two", "three"])
    for visible, count in ((None, 3), ("", 0), ("1", 1), ("0,2", 2), ("0,1,2,3", 3)):
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        gpus_module.gpu_count.cache_clear()
        assert gpus_module.gpu_count() == count
    gpus_module.gpu_count.cache_clear()
