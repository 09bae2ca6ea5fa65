"""The local engine with real processes and made-up frames: complete, in order, and alive after every death."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.client import Subscriber
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import ModelError, SinkError, SourceNotFound
from pipeline.messages import FrameResult, Gap, Picture, Surface
from stages.publish.rgb import rgb_of
from tests.faults.running import children_of
from tests.pipeline.engines import Reader, check_in_order, gaps, luma, results, status_of, wait_for, worker_pid
from tests.pipeline.strangers import REFUSED, Knocker, Site

BUILDER = "tests.pipeline.fake_build"


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


def test_a_file_gives_every_frame_in_order(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=300&undecoded=2&damaged=3", "b=other.fake?frames=50")
    engine.start()
    items = Reader(engine).rest()
    assert [result.seq for result in results(items, "a")] == list(range(300))
    assert [luma(result) for result in results(items, "a")] == [n % 256 for n in range(300)]
    assert [result.seq for result in results(items, "b")] == list(range(50))
    assert gaps(items, "a") == gaps(items, "b") == []
    wait_for(lambda: engine.finished)
    status = status_of(engine, "a")
    assert (status.state, status.captured, status.resulted, status.in_flight) == ("ENDED", 300, 300, 0)
    assert (status.undecoded, status.damaged, status.expected_frames, status.epoch) == (2, 3, 300, 1)
    assert engine.statistics().notes == ("a fake",)
    assert engine.wait(0)


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


def test_a_lost_device_costs_the_worker_and_not_the_run(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=120&fps=100", model="model?lost_at=40")
    engine.start()
    items = Reader(engine).rest()
    lost = gaps(items, "a")
    assert {gap.reason for gap in lost} >= {"worker_restart"}
    assert 2 in {result.epoch for result in results(items, "a")}  # what it had done may be lost with it, as a gap
    assert 40 not in {luma(result) for result in results(items, "a")}
    assert any("fell off the bus" in complaint for complaint in engine.complaints)


def test_the_steps_of_warming_up_are_told_of(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of("a=clip.fake?frames=5", model="model?warm=2")
    engine.start()
    Reader(engine).rest()
    assert engine.statistics().notes == ("step 1 of 2", "step 2 of 2", "a fake")


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
    assert {gap.reason for gap in gaps(items, "a")} - {"late"} == {"backlog"}  # late: where the machine is starved
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
    children = children_of(os.getpid())
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
    assert set(children_of(os.getpid())) <= set(children)  # other tests of this process may have some


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


def test_pictures_of_frames_for_those_who_subscribe(engine_of: Callable[..., LocalEngine]) -> None:
    publish = {"bind": "tcp://127.0.0.1:0", "frame": {"width": 32, "frames_a_second": 20, "quality": 100}}
    engine = start(engine_of("a=rtsp://fake?fps=20", deliver=False, publish=publish))
    wanted: dict[int, Picture] = {}
    lumas: dict[int, float] = {}
    with Subscriber(engine.address, ["a/frame", "a/boxes"], timeout_seconds=60) as subscriber:
        for item in subscriber.items():
            if isinstance(item, Picture):
                wanted[item.seq] = item
            elif isinstance(item, FrameResult):
                lumas[item.seq] = luma(item)
            if len(wanted.keys() & lumas.keys()) >= 3:
                break
    for seq in wanted.keys() & lumas.keys():
        picture = wanted[seq]
        assert (picture.width, picture.height, picture.jpeg_width, picture.jpeg_height) == (64, 48, 32, 24)
        planes = tuple(np.full(shape, lumas[seq], np.uint8) for shape in ((48, 64), (24, 32), (24, 32)))
        assert np.abs(picture.rgb().astype(int) - rgb_of(Surface("yuv420p", planes), size=(32, 24))).max() < 8
    assert engine.complaints == ()


def test_whose_key_was_refused_is_told(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    site = Site(tmp_path / "keys")
    stranger = site.pair("stranger")
    engine = start(engine_of("a=rtsp://fake?fps=20", deliver=False, publish=site.settings))
    with Knocker(engine.address, server=site.publisher.public.key, pair=stranger) as knocker:
        assert knocker.outcome() == REFUSED
        wait_for(lambda: any(stranger.public.key in text for text in engine.complaints))
