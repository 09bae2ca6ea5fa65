"""Real workers, a real broker and a web server: events come, losses are in the ledger, and a run ends all the same."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Pipeline
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import AddressError, ConfigError, SinkError
from tests.mosquitto import Mosquitto, MqttReader
from tests.pipeline.engines import wait_for
from tests.stages.publish.receiver import Receiver

CLIP = Path(__file__).parents[2] / "samples" / "crossing" / "crossing.mp4"
Make = Callable[..., LocalEngine]


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Make]:
    engines = []

    def make(*sources: str, builder: str = "tests.pipeline.fake_build", **settings: Any) -> LocalEngine:
        values = {
            "sources": list(sources),
            "detector": "model?delay_ms=1",
            "publish": {"bind": "tcp://127.0.0.1:0"},
            "supervisor": {"state_directory": str(tmp_path / "state")},
        }
        engine = LocalEngine(check(parse({**values, **settings})), builder=builder)
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.close()


def test_a_broker_hears_of_every_track_to_its_last_frame(mosquitto: Callable[..., Mosquitto], engine_of: Make) -> None:
    broker = mosquitto()
    with MqttReader(broker) as reader:
        source = "a=clip.fake?frames=60&resizes_at=40"  # which starts a new epoch
        engine = engine_of(source, builder="tests.pipeline.tracked_build", mqtt={"url": broker.url})
        wait_for(lambda: engine.finished)
        engine.stop()
        wait_for(lambda: engine.wait(0))
        wait_for(lambda: reader.availability()[-1:] == [b"offline"])
        events = reader.events()
    lives = [event for event in events if event["type"] != "update"]
    assert [event["type"] for event in lives] == ["new", "end", "new", "end"]
    # A source's first boxes are confirmed at once, and then nothing moves.
    assert [event["after"]["motionless_count"] for event in lives] == [0, 40 - 1, 0, 20 - 1]
    counts = engine.sink_counts
    assert counts.deferred["mqtt"].delivered == {"a": len(events)}
    assert (counts.taken["mqtt"], counts.failed["mqtt"]) == ({"a": 60}, {})
    assert engine.complaints == ()


def test_results_are_posted_and_what_is_given_up_is_in_the_ledger(engine_of: Make) -> None:
    with Receiver([404]) as receiver:
        engine = engine_of("a=clip.fake?frames=50", webhook={"url": receiver.url, "send": "results"})
        wait_for(lambda: engine.finished)
        wait_for(lambda: len(receiver.requests) == 50)
        engine.stop()
        wait_for(lambda: engine.wait(0))
    assert [json.loads(request.body)["seq"] for request in receiver.requests] == list(range(50))
    counts = engine.sink_counts
    assert counts.failed["webhook"] == counts.deferred["webhook"].lost == {"a": 1}
    assert counts.deferred["webhook"].delivered == {"a": 49}
    assert any("a/1/0 is given up: it answers 404" in complaint for complaint in engine.complaints)


def test_nobody_there_costs_nobody_else_and_is_complained_of(engine_of: Make) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{nobody.getsockname()[1]}"
        engine = engine_of(
            "a=clip.fake?frames=50",
            mqtt={"url": f"mqtt://{there}"},
            webhook={
                "url": f"http://{there}",
                "send": "results",
                "retry_first_seconds": 1000,
                "retry_max_seconds": 1000,
            },
        )
        wait_for(lambda: engine.finished)
        engine.stop()
        wait_for(lambda: engine.wait(0))
    (source,) = engine.statistics().sources
    assert source.resulted == 50
    assert engine.sink_counts.failed["webhook"] == {"a": 50}
    said = "\n".join(engine.complaints)
    assert "the broker cannot be reached" in said
    assert "50 messages had not arrived when the run ended" in said


def test_without_workers_a_loss_is_the_error_of_the_run() -> None:
    with Receiver([404]) as receiver:
        webhook = {"url": receiver.url, "send": "results", "queue_messages": 1000}
        with pytest.raises(SinkError, match="crossing/1/0 is given up: it answers 404"):
            list(Pipeline(sources=[str(CLIP)], detector="none", webhook=webhook).run())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mqtt": {"url": "http://h"}}, "mqtt.url: 'http://h' is not the address of a broker; mqtt://HOST:1883"),
        ({"mqtt": {"url": "mqtt://h:99999"}}, "mqtt.url: 'mqtt://h:99999' is not"),
        ({"mqtt": {"url": "mqtt://h/path"}}, "mqtt.url: 'mqtt://h/path' is not"),
        ({"mqtt": {"url": "mqtt://u:canary@h:x"}}, r"mqtt.url: 'mqtt://\*\*\*@h:x' is not"),
        ({"mqtt": {"url": "mqtt://h", "prefix": "a/#"}}, "mqtt.prefix: not allowed as it stands"),
        ({"webhook": {"url": "ftp://h/x"}}, "webhook.url: 'ftp://h/x' is not the address of a webhook; https://"),
        ({"webhook": {"url": "https://h", "secret": "canary"}}, "webhook.secret: not allowed as it stands"),
        ({"webhook": {"url": "https://h", "send": "masks"}}, "webhook.send: 'masks' is not allowed; one of events, r"),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        check(parse({"sources": ["a.mp4"], **settings}))
    assert "canary" not in str(refused.value)


def test_what_the_environment_makes_of_an_address_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "ftp://me:canary@h/")
    with pytest.raises(ConfigError, match=r"webhook\.url: ") as refused:
        list(Pipeline(sources=[str(CLIP)], detector="none", webhook={"url": "${HOOK}"}).run())
    assert "canary" not in str(refused.value)


def test_a_variable_that_is_not_set_ends_the_run_before_it_starts() -> None:
    with pytest.raises(AddressError, match="needs the environment variable NO_SUCH_HOOK"):
        list(Pipeline(sources=[str(CLIP)], detector="none", webhook={"url": "https://h/${NO_SUCH_HOOK}"}).run())
    webhook = {"url": "https://h/", "secret": "${NO_SUCH_SECRET}"}
    with pytest.raises(ConfigError, match=r"webhook\.secret: the environment variable NO_SUCH_SECRET is not set"):
        list(Pipeline(sources=[str(CLIP)], detector="none", webhook=webhook).run())
