"""Packets decoded by the vision worker, with real processes: the same frames, all accounted for, whatever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import NoDecodableFrames, SourceError
from pipeline.messages import FrameResult, Gap
from tests.cameras import RtspCamera, numbered_video
from tests.cameras.behaviour import HangUpAfter, NoKeyframes
from tests.pipeline.engines import Reader, check_in_order, gaps, luma, results, status_of, wait_for, worker_pid
from tests.stages.decode.test_packet_decoders import FRAMES, made

BUILDER = "tests.pipeline.packet_build"


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines that are closed at the end, whatever happens."""
    engines = []

    def make(*sources: Any, model: str = "model?delay_ms=1", decode: str = "nvdec", **settings: Any) -> LocalEngine:
        supervisor = {"state_directory": str(tmp_path / "state"), **settings.pop("supervisor", {})}
        values = {"publish": {"bind": None}, "decode": decode, **settings, "sources": list(sources), "detector": model}
        engine = LocalEngine(check(parse({**values, "supervisor": supervisor})), deliver=True, builder=BUILDER)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def played(engine: LocalEngine) -> list[FrameResult | Gap]:
    engine.start()
    return Reader(engine).rest()


def told(items: list[FrameResult | Gap], source_id: str) -> list[tuple[Any, ...]]:
    """All that a result says which does not vary from run to run."""
    return [(r.epoch, r.seq, r.pts, r.capture_time_ns, luma(r)) for r in results(items, source_id)]


@pytest.mark.parametrize("kind", ["h264-b-frames", "h264-low-delay", "hevc"])
def test_a_file_gives_what_it_gives_where_its_own_process_decodes(
    kind: str, engine_of: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    clip = made(tmp_path, kind, sizes=((160, 144),))
    here = engine_of(f"a={clip}")
    ours = played(here)
    theirs = played(engine_of(f"a={clip}", decode="cpu"))
    assert len(results(ours, "a")) == FRAMES
    assert told(ours, "a") == told(theirs, "a")
    assert gaps(ours, "a") == []
    wait_for(lambda: here.finished)
    status = status_of(here, "a")
    assert (status.state, status.captured, status.resulted, status.in_flight) == ("ENDED", FRAMES, FRAMES, 0)
    assert (status.undecoded, status.width, status.height, status.codec) == (0, 160, 144, kind.partition("-")[0])
    assert here._roster.members[0].cells.camera.sends_packets == 1


def test_a_long_file_waits_for_room_and_several_go_side_by_side(engine_of: Callable[..., LocalEngine]) -> None:
    clip = Path(__file__).parents[2] / "samples" / "crossing" / "crossing.mp4"
    engine = engine_of(f"a={clip}", f"b={clip}", model="model?delay_ms=4")
    items = played(engine)
    for source_id in ("a", "b"):
        assert [result.seq for result in results(items, source_id)] == list(range(350))
        assert status_of(engine, source_id).captured == 350


def test_another_picture_size_begins_an_epoch(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    clip = made(tmp_path, "h264-low-delay", sizes=((96, 64), (128, 96)))
    items = played(engine_of(f"a={clip}"))
    found = [(result.epoch, result.seq, result.width) for result in results(items, "a")]
    assert found == [(1, n, 96) for n in range(FRAMES)] + [(2, n, 128) for n in range(FRAMES)]


def test_what_the_device_does_not_take_is_decoded_by_its_own_process(
    engine_of: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    small = made(tmp_path, "h264-low-delay", sizes=((32, 16),))  # below what NVDEC takes
    engine = engine_of(f"a={small}")
    items = played(engine)
    assert len(results(items, "a")) == FRAMES
    assert engine._roster.members[0].cells.camera.sends_packets == 0
    (tmp_path / "other").mkdir()
    refused = engine_of(f"b={made(tmp_path / 'other', 'h264-low-delay')}", model="model?decoder_refuses=1")
    items = played(refused)
    assert [result.seq for result in results(items, "b")] == list(range(FRAMES))
    assert any("this decoder takes nothing; decoded on the CPU from now on" in text for text in refused.complaints)


def test_a_file_without_a_picture_says_so(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    engine = engine_of(f"a={made(tmp_path, 'h264-low-delay')}", model="model?decoder_fails=1")
    engine.start()
    reader = Reader(engine)
    with suppress(SourceError):
        reader.rest()
    assert isinstance(engine._roster.members[0].error, NoDecodableFrames)
    assert status_of(engine, "a").undecoded == FRAMES


@pytest.fixture
def camera() -> Iterator[str]:
    """The address of one that never stops."""
    with RtspCamera(numbered_video(25)) as camera:
        yield camera.url


@pytest.mark.long
def test_a_camera_goes_on_after_its_worker_and_the_vision_worker_died(
    camera: str, engine_of: Callable[..., LocalEngine]
) -> None:
    engine = engine_of(f"a={camera}")
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) > 20)
    wait_for(lambda: status_of(engine, "a").state == "STREAMING")
    assert status_of(engine, "a").width > 0
    for role in ("camera", "vision", "publisher"):
        before = max(result.epoch for result in results(reader.items, "a"))
        os.kill(worker_pid(engine, role), signal.SIGKILL)
        reader.until(lambda items, before=before: sum(r.epoch > before for r in results(items, "a")) > 20)
        wait_for(lambda: status_of(engine, "a").state == "STREAMING")
    engine.stop()
    reader.rest()
    check_in_order(reader.items, "a")
    status = status_of(engine, "a")
    assert status.captured == status.resulted + sum(status.dropped.values())
    assert status.ledger_violations == 0


def test_a_source_that_ends_the_vision_worker_twice_decodes_by_itself(
    engine_of: Callable[..., LocalEngine], camera: str
) -> None:
    engine = engine_of(f"a={camera}", model="model?decoder_dies_at=10")
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: sum(not isinstance(item, Gap) for item in items) > 60)
    assert any("decoded on the CPU from now on" in text for text in engine.complaints)
    assert engine._roster.members[0].cells.camera.sends_packets == 0
    check_in_order(reader.items, "a")


@pytest.mark.long
def test_a_decoder_that_hangs_costs_the_vision_worker_and_no_more(
    engine_of: Callable[..., LocalEngine], camera: str
) -> None:
    supervisor = {"frame_deadline_seconds": 1.0}
    engine = engine_of(f"a={camera}", model="model?decoder_hangs_at=10", supervisor=supervisor)
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: sum(not isinstance(item, Gap) for item in items) > 60)
    assert any("has not come back from a packet of a" in text for text in engine.complaints)
    check_in_order(reader.items, "a")


def test_a_source_can_be_added_and_removed(engine_of: Callable[..., LocalEngine], tmp_path: Path, camera: str) -> None:
    engine = engine_of(f"a={camera}")
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) > 5)
    engine.add_source(f"b={made(tmp_path, 'h264-low-delay')}")
    reader.until(lambda items: len(results(items, "b")) == FRAMES)
    engine.remove_source("b")
    wait_for(lambda: all(status.source_id != "b" for status in engine.statistics().sources))
    engine.stop()
    reader.rest()
    check_in_order(reader.items, "a")


CROSSING = Path(__file__).parents[2] / "samples" / "crossing" / "crossing.mp4"


def ended(engine: LocalEngine) -> list[FrameResult | Gap]:
    reader = Reader(engine)
    with suppress(SourceError):
        reader.rest()
    wait_for(lambda: engine.finished, "the end of the run")
    return reader.items


def test_a_decoder_with_a_fault_leaves_a_camera_to_its_own_process(
    engine_of: Callable[..., LocalEngine], camera: str, tmp_path: Path
) -> None:
    engine = engine_of(f"a={camera}", model="model?decoder_raises_at=5")
    engine.start()
    Reader(engine).until(lambda items: sum(not isinstance(item, Gap) for item in items) > 40)
    assert any("this decoder has a fault; decoded on the CPU from now on" in text for text in engine.complaints)
    engine.stop()
    file = engine_of(f"b={made(tmp_path, 'h264-low-delay')}", model="model?decoder_raises_at=5")
    file.start()
    items = ended(file)
    assert [result.seq for result in results(items, "b")] == [0, 1, 2, 3]
    assert "cannot be decoded on the device" in status_of(file, "b").message


def test_without_a_device_every_source_decodes_by_itself(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    engine = engine_of(f"a={made(tmp_path, 'h264-low-delay')}", model="model?no_device=1")
    engine.start()
    assert len(results(ended(engine), "a")) == FRAMES
    assert any("no CUDA device can be used here" in text for text in engine.complaints)


@pytest.mark.parametrize("at", [50, pytest.param(315, marks=pytest.mark.long)])
def test_a_file_ends_though_its_vision_worker_died(at: int, engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(f"a={CROSSING}", model="model?delay_ms=10")
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= at)
    os.kill(worker_pid(engine, "vision"), signal.SIGKILL)
    reader.rest()
    wait_for(lambda: engine.finished, "the end of the run")
    check_in_order(reader.items, "a")
    status = status_of(engine, "a")
    assert status.in_flight == 0
    assert status.captured == status.resulted + sum(status.dropped.values())
    assert status.captured + status.undecoded == 350


def test_a_camera_is_not_blamed_for_a_network_that_loads(engine_of: Callable[..., LocalEngine], camera: str) -> None:
    source = {"url": camera, "source_id": "a", "read_timeout_seconds": 1.0}
    engine = engine_of(source, model="model?load_ms=4000&warm=1")
    engine.start()
    Reader(engine).until(lambda items: len(results(items, "a")) >= 3)
    assert status_of(engine, "a").reconnects == 0


def test_a_reconnect_costs_no_frame_that_was_decoded(engine_of: Callable[..., LocalEngine]) -> None:
    with RtspCamera(numbered_video(25), behaviour=HangUpAfter(30)) as hanging_up:
        engine = engine_of(f"a={hanging_up.url}", model="model?delay_ms=20")
        engine.start()
        reader = Reader(engine)
        reader.until(lambda items: len({result.epoch for result in results(items, "a")}) >= 3)
        engine.stop()
        reader.rest()
    check_in_order(reader.items, "a")
    assert {gap.reason for gap in gaps(reader.items, "a")} <= {"backlog", "late", "shutdown"}


@pytest.mark.long
def test_a_publisher_that_dies_with_all_slots_holds_no_file_up(
    engine_of: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    engine = engine_of(f"a={CROSSING}", model="model?delay_ms=2", output={"annotate": str(tmp_path / "x.mp4")})
    engine.start()
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "a")) >= 20)
    publisher = worker_pid(engine, "publisher")
    os.kill(publisher, signal.SIGSTOP)
    time.sleep(1.5)  # until every slot is on its way to it
    with suppress(ProcessLookupError):
        os.kill(publisher, signal.SIGKILL)
    reader.rest()
    wait_for(lambda: engine.finished, "the end of the run")
    assert status_of(engine, "a").in_flight == 0


def test_a_camera_without_key_frames_says_so(engine_of: Callable[..., LocalEngine]) -> None:
    with RtspCamera(numbered_video(25), behaviour=NoKeyframes()) as blind:
        engine = engine_of({"url": blind.url, "source_id": "a", "read_timeout_seconds": 1.0})
        engine.start()
        wait_for(lambda: status_of(engine, "a").state == "NO_DECODABLE_FRAMES", "the camera's fault told")
