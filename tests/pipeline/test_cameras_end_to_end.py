"""RTSP cameras through decoding, shared memory, a graph, and the publishing socket, each in its own process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.client import Subscriber
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult, Gap, SourceStatus
from tests.cameras import RtspCamera, numbered_video

PATIENCE_SECONDS = 60.0
SECRET = "s3cr.et%40canary"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    engines = []

    def start(*sources: Any) -> LocalEngine:
        settings = {
            "sources": list(sources),
            "publish": {"bind": "tcp://127.0.0.1:*"},
            "supervisor": {"state_directory": str(tmp_path), "retry_first_seconds": 0.2, "retry_max_seconds": 1},
        }
        engine = LocalEngine(check(parse(settings)), builder="tests.pipeline.numbered_build")
        engines.append(engine)
        engine.start()
        return engine

    yield start
    for engine in engines:
        engine.close()


class Watcher:
    """Reads topics until what it has seen is enough."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.items: list[FrameResult | Gap | SourceStatus] = []
        self._arriving = subscriber.items()

    def until(self, enough: Callable[[list[FrameResult]], bool]) -> list[FrameResult]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough(results := [item for item in self.items if isinstance(item, FrameResult)]):
            assert time.monotonic() < deadline, self.items[-3:]
            self.items.append(next(self._arriving))
        return results


def of(results: list[FrameResult], source_id: str) -> list[FrameResult]:
    return [result for result in results if result.source_id == source_id]


def number(result: FrameResult) -> int:
    return int(result.detections.boxes[0, 2])


def status_of(engine: LocalEngine, source_id: str) -> SourceStatus:
    return next(status for status in engine.statistics().sources if status.source_id == source_id)


def test_a_camera_that_dies_is_tried_again_while_the_other_goes_on(
    rtsp_camera: Callable[..., RtspCamera], run: Callable[..., LocalEngine]
) -> None:
    video = numbered_video(count=200)
    door, yard = rtsp_camera(video, path="/door"), rtsp_camera(video, path="/yard")
    engine = run(f"door={door.url}", f"yard={yard.url}")
    with Subscriber(engine.address, topics=["door/all", "yard/all"]) as subscriber:
        watcher = Watcher(subscriber)
        before = watcher.until(lambda seen: len(of(seen, "door")) >= 5 and len(of(seen, "yard")) >= 5)
        for source_id in ("door", "yard"):
            numbers = [number(result) for result in of(before, source_id)]
            seqs = [result.seq for result in of(before, source_id)]
            assert {number - seq for number, seq in zip(numbers, seqs, strict=True)} == {numbers[0] - seqs[0]}
        door.close()
        seen = len(of(before, "yard"))
        watcher.until(lambda now: len(of(now, "yard")) >= seen + 25)
        assert status_of(engine, "yard").reconnects == 0
        again = rtsp_camera(video, path="/door", port=door.port)
        assert again.url == door.url
        after = watcher.until(lambda now: len({result.epoch for result in of(now, "door")}) == 2)
    assert of(after, "door")[-1].seq < 25
    assert {result.epoch for result in of(after, "yard")} == {of(after, "yard")[0].epoch}
    assert all(status.balance == 0 for status in engine.statistics().sources)
    engine.stop()
    assert all(status.balance == status.in_flight == 0 for status in engine.statistics().sources)


def test_no_secret_leaves_the_workers(
    rtsp_camera: Callable[..., RtspCamera], run: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = rtsp_camera(path="/door", user="admin", password="other")
    monkeypatch.setenv("CAM", SECRET)
    engine = run(f"door=rtsp://admin:${{CAM}}@127.0.0.1:{camera.port}/door")
    shown = [Path(f"/proc/{seat.child.pid}/cmdline").read_text() for seat in engine._roster.seats if seat.child]
    with Subscriber(engine.address, topics=["door/status"]) as subscriber:
        for item in subscriber.items():
            shown.append(repr(item))
            if isinstance(item, SourceStatus) and item.state == "UNAUTHORIZED":
                break
    shown += [repr(engine.statistics()), *engine.complaints]
    assert any("UNAUTHORIZED" in text for text in shown)
    assert not [text for text in shown if "canary" in text]
    assert "canary" in os.environ["CAM"]
