"""Events to a real broker: at least once, whatever the broker does meanwhile, and what is lost is said."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import MqttConfig
from pipeline.errors import ConfigError, SinkError
from pipeline.stage import DeferredSink
from stages.publish.mqtt import MqttSink
from tests.mosquitto import Mosquitto, MqttReader, until
from tests.stages.publish.test_events import BOX, frame, moved

Start = Callable[..., Mosquitto]
SECRET = "canary7hunter2"


def sink_of(broker: Mosquitto, **settings: object) -> MqttSink:
    return MqttSink(MqttConfig(url=broker.url, **settings))  # type: ignore[arg-type]


def test_a_track_s_life_is_told_in_frigate_s_shape(mosquitto: Start) -> None:
    broker = mosquitto()
    sink = sink_of(broker, prefix="frigate")
    assert isinstance(sink, DeferredSink)
    with MqttReader(broker) as reader:
        sink.write(frame(0, (1, BOX)))
        sink.write(frame(1, (1, moved(BOX, 40))))
        sink.write(frame(2))
        until(lambda: len(reader.events()) == 3)
        new, update, end = reader.events()
        assert [event["type"] for event in (new, update, end)] == ["new", "update", "end"]
        assert update["before"] == new["after"]
        assert end["after"]["end_time"] == update["after"]["frame_time"]
        assert {topic for topic, _ in reader.messages} == {"frigate/events", "frigate/available"}
        until(lambda: sink.progress().delivered == {"door": 3})
        sink.close()
        until(lambda: reader.availability()[-1] == b"offline")
    assert sink.progress().lost == {}
    assert sink.complaints() == []


def test_closing_ends_every_track_and_says_offline(mosquitto: Start) -> None:
    broker = mosquitto()
    sink = sink_of(broker)
    with MqttReader(broker) as reader:
        until(lambda: reader.availability() == [b"online"])
        sink.write(frame(0, (1, BOX), (2, BOX)))
        sink.close()
        sink.close()
        until(lambda: reader.availability() == [b"online", b"offline"])
        assert [event["type"] for event in reader.events()] == ["new", "new", "end", "end"]
    assert sink.progress().delivered == {"door": 4}
    with pytest.raises(SinkError, match="closed"):
        sink.write(frame(1))


def test_what_happens_while_the_broker_is_away_comes_when_it_is_back(mosquitto: Start) -> None:
    broker = mosquitto()
    sink = sink_of(broker)
    until(lambda: sink.progress().reachable)
    broker.kill()
    until(lambda: not sink.progress().reachable)
    for track in range(1, 6):
        sink.write(frame(track, *((id_, BOX) for id_ in range(1, track + 1))))
    assert sink.progress().waiting == 5
    broker.start()
    with MqttReader(broker) as reader:
        until(lambda: sink.progress().delivered == {"door": 5})
        # Of those, the ones that came before this reader are nobody's: a broker passes on to who is there.
        sink.write(frame(9))
        until(lambda: len([event for event in reader.events() if event["type"] == "end"]) == 5)
    complaints = [str(complaint) for complaint in sink.complaints()]
    assert len(complaints) == len(set(complaints)) <= 2  # lost, and perhaps not reached; once each
    assert "the connection was lost" in complaints[0]
    sink.close()
    assert sink.progress().lost == {}


def test_nobody_waits_for_a_broker_that_is_not_there_and_what_found_no_room_is_counted() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"mqtt://viewer:{SECRET}@127.0.0.1:{nobody.getsockname()[1]}"
        sink = MqttSink(MqttConfig(url=url, queue_messages=10))
        for track in range(1, 16):
            sink.write(frame(track / 10, *((id_, BOX) for id_ in range(1, track + 1))))
        sink.close()
    progress = sink.progress()
    assert progress.lost == {"door": 15 + 15}  # every start and every end
    assert (progress.delivered, progress.waiting, progress.reachable) == ({}, 0, False)
    complaints = " ".join(map(str, sink.complaints()))
    assert "the queue is full" in complaints
    assert SECRET not in complaints
    assert "mqtt://***@127.0.0.1" in complaints


def test_nor_for_one_that_hangs_and_it_gets_all_when_it_goes_on(mosquitto: Start) -> None:
    broker = mosquitto()
    sink = sink_of(broker)
    until(lambda: sink.progress().reachable)
    broker.suspend()
    for track in range(1, 301):
        sink.write(frame(track / 100, (track, BOX)))
    assert sink.progress().waiting > 500
    broker.resume()
    until(lambda: sink.progress().delivered == {"door": 300 + 299})
    sink.close()
    assert (sink.progress().delivered, sink.progress().lost) == ({"door": 600}, {})


def test_a_password_from_the_environment(mosquitto: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = mosquitto(user="viewer", password=f"{SECRET}@/:")
    monkeypatch.setenv("MQTT", f"{SECRET}@/:")
    url = f"mqtt://viewer:${{MQTT}}@127.0.0.1:{broker.port}"
    sink = MqttSink(MqttConfig(url=url))
    sink.write(frame(0, (1, BOX)))
    until(lambda: sink.progress().delivered == {"door": 1})
    sink.close()


def test_a_refusal_is_said_once_without_the_password(mosquitto: Start) -> None:
    broker = mosquitto(user="viewer", password="right-one")
    sink = MqttSink(MqttConfig(url=f"mqtt://viewer:{SECRET}@127.0.0.1:{broker.port}"))
    said: list[str] = []
    until(lambda: bool(said.extend(map(str, sink.complaints())) or said))
    assert len(said) == 1
    assert "the broker refuses: Not authorized" in said[0]
    assert SECRET not in said[0]
    assert not sink.progress().reachable
    sink.close()


def test_a_full_queue_leaves_room_to_say_that_we_are_here(mosquitto: Start) -> None:
    broker = mosquitto()
    sink = sink_of(broker, queue_messages=3)
    until(lambda: sink.progress().reachable)
    broker.kill()
    until(lambda: not sink.progress().reachable)
    sink.write(frame(0, *((id_, BOX) for id_ in range(1, 6))))
    assert (sink.progress().waiting, sink.progress().lost) == (3, {"door": 2})
    broker.start()
    until(lambda: sink.progress().delivered == {"door": 3})
    with MqttReader(broker) as reader:
        until(lambda: reader.availability()[-1:] == [b"online"])
    sink.close()


def test_certificates_that_cannot_be_read_are_named() -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.ca_file: /no/such\.pem cannot be read as certificates"):
        MqttSink(MqttConfig(url="mqtts://127.0.0.1", ca_file="/no/such.pem"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "certificate.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-out", str(paths[0]), "-keyout", str(paths[1])], check=True, capture_output=True)
    return paths


def test_tls_with_a_certificate_that_is_believed(mosquitto: Start, certificate: tuple[Path, Path]) -> None:
    broker = mosquitto(certificate=certificate)
    url = f"mqtts://127.0.0.1:{broker.port}"
    sink = MqttSink(MqttConfig(url=url, ca_file=str(certificate[0])))
    sink.write(frame(0, (1, BOX)))
    until(lambda: sink.progress().delivered == {"door": 1})
    sink.close()
    stranger = MqttSink(MqttConfig(url=url))
    until(lambda: bool(stranger.complaints()))
    assert not stranger.progress().reachable
    stranger.close()
