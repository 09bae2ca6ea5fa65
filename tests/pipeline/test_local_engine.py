"""The local engine with real processes and made-up frames: complete, in order, and alive after every death."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import ModelError, SinkError, SourceNotFound
from pipeline.messages import FrameResult, Gap, SourceStatus

BUILDER = "tests.pipeline.fake_build"
PATIENCE_SECONDS = 60.0


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines that are closed at the end, whatever happens."""
    engines = []

    def make(*sources: Any, model: str = "model?delay_ms=1", deliver: bool = True, **settings: Any) -> LocalEngine:
        supervisor = {"state_directory": str(tmp_path / "state"), **settings.pop("supervisor", {})}
        values = {"publish": {"bind": None}, **settings, "sources": list(sources), "detector": model}
        engine = LocalEngine(check(parse({**values, "supervisor": supervisor})), deliver=deliver, builder=BUILDER)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def start(engine: LocalEngine) -> LocalEngine:
    engine.start()
    return engine


class Reader:
    """Reads an engine's results and keeps them."""

    def __init__(self, engine: LocalEngine) -> None:
        self.items: list[FrameResult | Gap] = []
        self._results = engine.results()

    def until(self, enough: Callable[[list[FrameResult | Gap]], bool]) -> list[FrameResult | Gap]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough(self.items):
            assert time.monotonic() < deadline, self.items[-3:]
            self.items.append(next(self._results))
        return self.items

    def rest(self) -> list[FrameResult | Gap]:
        self.items.extend(self._results)
        return self.items


def results(items: list[FrameResult | Gap], source_id: str) -> list[FrameResult]:
    return [item for item in items if isinstance(item, FrameResult) and item.source_id == source_id]


def gaps(items: list[FrameResult | Gap], source_id: str) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap) and item.source_id == source_id]


def luma(result: FrameResult) -> int:
    return int(result.detections.boxes[0, 2])


def status_of(engine: LocalEngine, source_id: str) -> SourceStatus:
    return next(status for status in engine.statistics().sources if status.source_id == source_id)


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def worker_pid(engine: LocalEngine, role: str, source: int = -1) -> int:
    seats = [seat for seat in engine._roster.seats if seat.role == role and (source < 0 or seat.source == source)]
    assert seats[0].child is not None
    return seats[0].child.pid


def check_in_order(items: list[FrameResult | Gap], source_id: str) -> None:
    """Every frame of every epoch exactly once, without holes, the lost ones told of in the next result."""
    at, lost = (0, 0), 0
    for item in items:
        if item.source_id != source_id:
            continue
        first = item.first_seq if isinstance(item, Gap) else item.seq
        assert (item.epoch, first) == at or (item.epoch > at[0] and first == 0), (at, item)
        if isinstance(item, Gap):
            at, lost = (item.epoch, item.last_seq + 1), lost + item.count
        else:
            assert item.gap_before == lost, item
            at, lost = (item.epoch, item.seq + 1), 0


def test_a_file_gives_every_frame_in_order(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=300&undecoded=2", "b=other.fake?frames=50")
    engine.start()
    items = Reader(engine).rest()
    assert [result.seq for result in results(items, "a")] == list(range(300))
    assert [luma(result) for result in results(items, "a")] == [n % 256 for n in range(300)]
    assert [result.seq for result in results(items, "b")] == list(range(50))
    assert gaps(items, "a") == gaps(items, "b") == []
    wait_for(lambda: engine.finished)
    status = status_of(engine, "a")
    assert (status.state, status.captured, status.resulted, status.in_flight) == ("ENDED", 300, 300, 0)
    assert (status.undecoded, status.expected_frames, status.epoch) == (2, 300, 1)
    assert engine.statistics().notes == ("a fake",)
    assert engine.wait(0)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("role", ["camera", "vision", "publisher"])
def test_a_worker_that_dies_or_hangs_is_replaced(
    engine_of: Callable[..., LocalEngine], role: str, sign: signal.Signals
) -> None:
    engine = engine_of("a=rtsp://fake?fps=50", "b=rtsp://fake?fps=50")
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 5 and len(results(items, "b")) >= 5)
    os.kill(worker_pid(engine, role, source=0 if role == "camera" else -1), sign)
    struck = time.monotonic()
    reader.until(lambda items: any(item.epoch == 2 for item in results(items, "a")))
    assert time.monotonic() - struck < 20  # seconds on a busy machine; detection itself takes one
    if role != "camera":
        reader.until(lambda items: any(item.epoch == 2 for item in results(items, "b")))
    engine.stop()
    items = reader.rest()
    for source_id in ("a", "b"):
        check_in_order(items, source_id)
        assert status_of(engine, source_id).balance == 0
        assert status_of(engine, source_id).in_flight == 0
    if role == "camera":
        assert {item.epoch for item in items if item.source_id == "b"} == {1}
    assert "worker_restart" in {gap.reason for gap in gaps(items, "a")} or role == "camera"
    assert len(engine.complaints) == 1


def test_a_model_that_cannot_be_loaded_ends_the_run_with_one_error(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=10", model="model?refuse=1")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Reader(start(engine)).rest()
    engine.stop()
    assert engine.complaints == ()


def test_an_address_in_use_is_told_at_the_start(engine_of: Callable[..., LocalEngine]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        engine = engine_of("a=clip.fake?frames=10", publish={"bind": address})
        with pytest.raises(SinkError, match="in use"):
            engine.start()


def test_a_batch_that_fails_is_a_gap(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=20", model="model?fail_at=7")
    engine.start()
    items = Reader(engine).rest()
    assert gaps(items, "a") == [Gap("a", 1, 7, 7, "inference_error")]
    assert [result.seq for result in results(items, "a")] == [n for n in range(20) if n != 7]
    assert [result.gap_before for result in results(items, "a")][7] == 1
    assert any("cannot be analysed" in complaint for complaint in engine.complaints)


def test_a_source_that_fails_for_good_leaves_the_others_alone(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=gone.fake?missing=1", "b=clip.fake?frames=30")
    engine.start()
    items = Reader(engine).rest()
    assert len(results(items, "b")) == 30
    assert isinstance(engine.errors["a"], SourceNotFound)
    assert list(engine.errors) == ["a"]
    assert status_of(engine, "a").state == "NOT_FOUND"
    assert "no such file" in status_of(engine, "a").message


def test_a_file_whose_worker_dies_is_not_read_twice(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=100000&fps=100", "b=clip.fake?frames=30")
    reader = Reader(start(engine))
    reader.until(lambda items: len(results(items, "a")) >= 5)
    os.kill(worker_pid(engine, "camera", source=0), signal.SIGKILL)
    items = reader.rest()
    check_in_order(items, "a")
    assert {item.epoch for item in items} == {1}
    assert len(results(items, "b")) == 30
    assert "SIGKILL" in str(engine.errors["a"])
    assert (status_of(engine, "a").state, status_of(engine, "a").in_flight) == ("FAULTED", 0)


def test_a_camera_that_breaks_is_opened_again_in_a_new_epoch(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=rtsp://fake?fps=100&breaks_at=10", supervisor={"retry_first_seconds": 0.05})
    engine.start()
    reader = Reader(engine)
    items = reader.until(lambda items: any(item.epoch == 3 for item in items))
    check_in_order(items, "a")
    assert gaps(items, "a") == [] or {gap.reason for gap in gaps(items, "a")} == {"backlog"}
    assert status_of(engine, "a").reconnects >= 2
    assert engine.complaints == ()


def test_refused_credentials_are_not_tried_again_soon(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=rtsp://fake?refused=1")
    engine.start()
    wait_for(lambda: status_of(engine, "a").state == "UNAUTHORIZED")
    wait = status_of(engine, "a").retry_in_seconds
    assert wait is not None
    assert wait > 50
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < 3


def test_a_change_of_picture_size_starts_a_new_epoch(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=20&resizes_at=12")
    engine.start()
    items = results(Reader(engine).rest(), "a")
    assert [(item.epoch, item.seq) for item in items] == [(1, n) for n in range(12)] + [(2, n) for n in range(8)]
    assert [item.width for item in items] == [64] * 12 + [66] * 8
    assert [luma(item) for item in items] == list(range(20))


def test_a_live_source_never_builds_up_latency(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=rtsp://fake?fps=200", model="model?delay_ms=50&lanes=1")
    engine.start()
    reader = Reader(engine)
    items = reader.until(lambda items: len(results(items, "a")) >= 40)
    engine.stop()
    check_in_order(items, "a")
    assert {gap.reason for gap in gaps(items, "a")} == {"backlog"}
    latency = status_of(engine, "a").latency
    assert latency is not None
    assert latency.p50_ms < 1000
    assert status_of(engine, "a").balance == 0


def test_a_worker_that_hangs_in_its_reader_is_replaced(engine_of: Callable[..., LocalEngine]) -> None:
    source = {"url": "rtsp://fake?fps=100&hangs_at=5", "source_id": "a", "read_timeout_seconds": 0.1}
    engine = engine_of(source)
    engine.start()
    items = Reader(engine).until(lambda items: any(item.epoch == 2 for item in items))
    check_in_order(items, "a")
    assert "hung while reading" in engine.complaints[0]


def test_epochs_grow_over_runs(engine_of: Callable[..., LocalEngine]) -> None:
    for epoch in (1, 2):
        engine = engine_of("a=rtsp://fake?fps=100")
        engine.start()
        assert Reader(engine).until(bool)[0].epoch == epoch
        engine.close()


def test_stopping_drains_and_leaves_nothing_behind(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    engine = engine_of(
        "a=rtsp://fake?fps=50",
        "b=clip.fake?frames=100000",
        output={"directory": str(tmp_path)},
        publish={"bind": "tcp://127.0.0.1:*"},
        deliver=False,
    )
    engine.start()
    assert engine.address.startswith("tcp://127.0.0.1:")
    wait_for(lambda: engine.statistics().resulted > 20)
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < 5
    statistics = engine.statistics()
    assert all(source.balance == 0 and source.in_flight == 0 for source in statistics.sources)
    assert (tmp_path / "results.jsonl").read_bytes().count(b"\n") >= statistics.resulted
    taken = engine.sink_counts.taken["jsonl"]
    assert {source.source_id for source in statistics.sources} == set(taken)
    engine.close()
    assert not children_of(os.getpid())


def test_an_engine_leaves_no_descriptor_behind() -> None:
    config = check(parse({"sources": ["a=clip.fake?frames=5"], "publish": {"bind": None}}))

    def run() -> None:
        with LocalEngine(config, deliver=True, builder=BUILDER) as engine:
            assert len(Reader(start(engine)).rest()) == 5

    run()  # the first may import things that stay open
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    run()
    gc.collect()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_workers_end_with_their_supervisor() -> None:
    script = (
        "import time\n"
        "from pipeline.config import check, parse\n"
        "from pipeline.engines.local import LocalEngine\n"
        "config = check(parse({'sources': ['a=clip.fake?frames=1000000'], 'publish': {'bind': None}}))\n"
        f"engine = LocalEngine(config, builder={BUILDER!r})\n"
        "engine.start()\n"
        "while engine.statistics().resulted < 5: time.sleep(0.05)\n"
        "print('running', flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"running\n"
        workers = children_of(supervisor.pid)
        assert len(workers) == 3
        supervisor.kill()
    wait_for(lambda: not any(is_running(pid) for pid in workers))


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and parent_of(int(entry.name)) == pid:
            found.append(int(entry.name))
    return found


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return -1


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
