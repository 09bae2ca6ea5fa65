"""Lines and zones while a pipeline runs: the same events on the socket, in a file, and of the stored results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Subscriber
from pipeline.config import PipelineConfig, check, parse
from pipeline.config.zones import load_zones
from pipeline.engines.inline import InlineEngine
from pipeline.engines.local import LocalEngine
from pipeline.errors import ConfigError, SinkError
from pipeline.messages import FrameResult, ZoneEvent
from pipeline.wire import event_from_json, item_from_json
from stages.publish.zeromq import ZeroMQPublisher
from stages.zones import ZoneWatch
from tests.mosquitto import Mosquitto, MqttReader
from tests.pipeline import moving_build
from tests.pipeline.engines import wait_for
from tests.stages.zones.moves import SQUARE, frame, zones

ZONES = """\
coordinates: fractions
lines: [{name: middle, points: [[0.5, 0], [0.5, 1]], directions: [leftwards, rightwards], sources: [a]}]
zones: [{name: right, points: [[0.6, 0], [1, 0], [1, 1], [0.6, 1]]}]
"""
FRAMES, EPOCH = 126, 66  # frames, and where the second epoch begins
LAST = FRAMES - EPOCH - 1  # frame of the second epoch
SOURCE = f"a=clip.fake?frames={FRAMES}&resizes_at={EPOCH}"


@pytest.fixture
def zones_file(tmp_path: Path) -> Path:
    file = tmp_path / "zones.yaml"
    file.write_text(ZONES)
    return file


def config_of(tmp_path: Path, **settings: Any) -> PipelineConfig:
    values = {
        "sources": [SOURCE],
        "detector": "model",
        "output": {"directory": str(tmp_path / "out"), "events": str(tmp_path / "out" / "events.jsonl")},
        "supervisor": {"state_directory": str(tmp_path / "state")},
    }
    return check(parse({**values, **settings}))


def stored(tmp_path: Path, zones_file: Path) -> list[ZoneEvent]:
    """What the core tells of the results as they were written."""
    watch = ZoneWatch(load_zones(zones_file))
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    events = [event for line in lines for event in watch.take(item_from_json(json.loads(line)))]
    return events + watch.end_all()


def in_file(tmp_path: Path) -> list[ZoneEvent]:
    lines = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    return [event_from_json(json.loads(line)) for line in lines]


def check_story(events: list[ZoneEvent]) -> None:
    """To the right, back, and so on; twice from the beginning, since the second epoch starts anew."""
    assert [event.direction for event in events if event.type == "line_crossed"] == [
        "rightwards",
        "leftwards",
        "rightwards",
        "rightwards",
        "leftwards",
        "rightwards",
    ]
    left = [event.reason for event in events if event.type == "zone_left"]
    assert left == ["moved", "track_ended"] * 2
    assert len({event.identity for event in events}) == len(events)


@pytest.fixture
def engine_of() -> Iterator[Callable[[PipelineConfig], LocalEngine]]:
    engines = []

    def make(config: PipelineConfig) -> LocalEngine:
        engines.append(LocalEngine(config, builder="tests.pipeline.moving_build"))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_a_subscriber_hears_what_the_stored_results_tell(
    tmp_path: Path, zones_file: Path, engine_of: Callable[[PipelineConfig], LocalEngine]
) -> None:
    address = f"ipc://{tmp_path}/socket"
    config = config_of(tmp_path, sources=["b=rtsp://fake?fps=5"], zones=str(zones_file), publish={"bind": address})
    engine = engine_of(config)
    engine.start()
    heard: list[ZoneEvent] = []
    with Subscriber(address, topics=["a/events", "b/status"], timeout_seconds=60) as subscriber:
        assert subscriber.receive(timeout_seconds=60) is not None  # it is connected
        engine.add_source(SOURCE)
        for item in subscriber.items():
            if isinstance(item, ZoneEvent):
                heard.append(item)
                if (item.type, item.epoch, item.occupancy) == ("occupancy_changed", 2, 0) and item.seq == LAST:
                    break
        engine.stop()
        wait_for(lambda: engine.wait(0))
        assert subscriber.statistics().missed == 0
    expected = [event for event in stored(tmp_path, zones_file) if event.source_id == "a"]
    check_story(expected)
    assert heard == expected
    assert heard == [event for event in in_file(tmp_path) if event.source_id == "a"]


def test_without_workers_the_file_has_the_same(tmp_path: Path, zones_file: Path) -> None:
    config = config_of(tmp_path, zones=str(zones_file), engine="inline")
    parts = {name: getattr(moving_build, name) for name in ("open_source", "build_graph", "build_sinks")}
    with InlineEngine(config, **parts) as engine:
        results = [item for item in engine.items() if isinstance(item, FrameResult)]
    watch = ZoneWatch(load_zones(zones_file))
    live = [event for result in results for event in watch.take(result)] + watch.end_all()
    check_story(live)
    assert live == stored(tmp_path, zones_file) == in_file(tmp_path)


def test_a_broker_hears_of_them_too(
    mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
    zones_file: Path,
    engine_of: Callable[[PipelineConfig], LocalEngine],
) -> None:
    broker = mosquitto()
    with MqttReader(broker) as reader:
        engine = engine_of(config_of(tmp_path, zones=str(zones_file), publish={"bind": None}, mqtt={"url": broker.url}))
        engine.start()
        wait_for(lambda: engine.finished)
        engine.stop()
        wait_for(lambda: engine.wait(0))
        wait_for(lambda: reader.availability()[-1:] == [b"offline"])
        heard = [event_from_json(json.loads(payload)) for payload in reader.payloads("everyframe/zones")]
    assert heard == stored(tmp_path, zones_file)


def test_nothing_is_sent_to_who_did_not_ask_and_numbers_go_on() -> None:
    watch = ZoneWatch(zones(zones=[SQUARE]))
    with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:

        def pass_by(seq: int) -> None:
            for where in ((150.0, 90.0), (50.0, 90.0)):
                result = frame(seq := seq + 1, (1, where))
                publisher.publish_result("door", result)
                for event in watch.take(result):
                    publisher.publish_event(event)

        with Subscriber(publisher.address, topics=["door/"], timeout_seconds=10) as everything:
            wait_for(lambda: publisher.poll() or publisher.statistics().subscriptions == 1)
            pass_by(0)
            assert {type(everything.receive(timeout_seconds=10)) for _ in range(6)} == {FrameResult}
        assert "events" not in publisher.statistics().sent
        with Subscriber(publisher.address, topics=["door/events"], timeout_seconds=10) as events:
            wait_for(lambda: publisher.poll() or "events" in publisher._subscriptions.wanted("door"))
            pass_by(10)
            first = events.receive(timeout_seconds=10)
        assert isinstance(first, ZoneEvent)
        assert (first.type, first.seq, first.class_name) == ("zone_entered", 11, "person")
        assert publisher.statistics().sent["events"] == 4
        assert publisher._numbers[b"door+/events/"] == 8


def test_what_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read as a zones file"):
        config_of(tmp_path, zones=str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"output\.events: .*needs lines and zones to tell of; name a zones file too"):
        config_of(tmp_path)


def test_a_class_that_no_model_has_is_complained_of_once(tmp_path: Path, zones_file: Path) -> None:
    zones_file.write_text(ZONES.replace("sources: [a]", "classes: [thong]"))
    config = config_of(tmp_path, zones=str(zones_file), engine="inline")
    parts = {name: getattr(moving_build, name) for name in ("open_source", "build_graph", "build_sinks")}
    with (
        pytest.raises(SinkError, match=r"zones: lines\[0\]\.classes: 'thong' is no class of a's model; thing are"),
        InlineEngine(config, **parts) as engine,
    ):
        list(engine.items())
    watched = in_file(tmp_path)  # the other zone is told of to the end
    assert [event.reason for event in watched if event.type == "zone_left"] == ["moved", "track_ended"] * 2
    watch = ZoneWatch(load_zones(zones_file))
    told = [(watch.take(frame(i, (1, (5.0, 5.0)))) and []) or watch.complaints() for i in range(3)]
    assert [len(complaints) for complaints in told] == [1, 0, 0]
