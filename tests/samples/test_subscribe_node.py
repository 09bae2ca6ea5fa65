"""The reader in JavaScript, written from the specification alone, reads the golden files and what is published."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from pipeline.messages import Gap, PanopticMap
from pipeline.wire import (
    Header,
    decode_result,
    encode_header,
    encode_result,
    item_to_json,
    result_to_json,
    status_to_json,
    topic_of,
)
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.wire.samples import empty_result, make_result, make_status
from tests.redis_server import RedisServer
from tests.require import skip_without
from tests.samples.programs import await_subscription, ended, started, until
from tests.stages.publish.streams import put, put_results, settled, sink_at
from tests.stages.publish.streams import result as kept
from tests.stages.publish.streams import until as until_true

SAMPLE = Path(__file__).parents[2] / "samples" / "subscribe-node"
GOLDEN = Path(__file__).parents[1] / "pipeline" / "wire" / "golden"
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample with its packages, so that the checkout stays as it is."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        skip_without("node", lacking="node and npm")
    copy = tmp_path_factory.mktemp("node") / "subscribe-node"
    shutil.copytree(SAMPLE, copy, ignore=shutil.ignore_patterns("node_modules"))
    try:
        subprocess.run(INSTALL, cwd=copy, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as exc:
        skip_without("node", lacking=f"the sample's npm packages, which npm did not get: {exc.stderr[-300:]}")
    return copy


def node(sample: Path, *arguments: str) -> str:
    command = ["node", "subscribe.js", *arguments]
    return subprocess.run(command, cwd=sample, check=True, capture_output=True, text=True, timeout=120).stdout


def as_python(told: dict[str, Any]) -> dict[str, Any]:
    """What the reader told, as our own JSON form has it: no kind, no timings, floats to its decimals."""
    return rounded({name: value for name, value in told.items() if name not in {"kind", "timings"}})


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return pytest.approx(value, abs=0.006)  # the JSON form rounds boxes to 0.01
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return {name: rounded(part) for name, part in value.items()} if isinstance(value, dict) else value


def pixels(picture: Path) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The id map of a 16-bit PGM."""
    magic, size, most, data = picture.read_bytes().split(b"\n", 3)
    assert (magic, most) == (b"P5", b"65535")
    width, height = map(int, size.split())
    return np.frombuffer(data, ">u2").reshape(height, width).astype(np.uint16)


def test_its_own_tests_pass(sample: Path) -> None:
    ran = subprocess.run(["npm", "test"], cwd=sample, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("kind", ["boxes", "tracks", "masks", "all"])
def test_the_golden_results(sample: Path, tmp_path: Path, kind: str) -> None:
    file = GOLDEN / f"result-{kind}.msgpack"
    told = json.loads(node(sample, "--file", str(file), "--json", "--maps", str(tmp_path)))
    expected = decode_result(file.read_bytes())
    assert result_to_json(expected) == as_python(told)
    if expected.panoptic is not None:
        assert np.array_equal(pixels(tmp_path / "door-2-41.pgm"), expected.panoptic.ids)


def test_the_golden_gap_and_status(sample: Path) -> None:
    files = [GOLDEN / "gap.msgpack", GOLDEN / "status.msgpack"]
    lines = node(sample, *(part for file in files for part in ("--file", str(file)))).splitlines()
    assert lines == ["door 2/42-44 lost: backlog", "door STREAMING fine"]


def test_a_publisher_s_stream(sample: Path, tmp_path: Path) -> None:
    result = make_result(objects=40, height=270, width=480, segments=32)
    items = [
        replace(result, seq=0, capture_time_ns=2**53 + 1),
        Gap("door", 2, 1, 3, "backlog"),
        replace(result, seq=4, gap_before=3),
        replace(empty_result(), source_id="door", epoch=3, pts=-1),
    ]
    log = tmp_path / "out.jsonl"
    with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:
        command = ["node", "subscribe.js", publisher.address, "--topic", "door/all", "--topic", "door/status"]
        command += ["--json", "--count", "5", "--maps", str(tmp_path)]
        with started(command, log=log, cwd=sample) as process:
            publisher.publish_status(make_status("door"))
            publisher.publish_status(make_status("yard"))
            await_subscription(publisher, process, 2)
            for item in items:
                publisher.write(item)
            assert ended(process) == 0
    status, *told = (json.loads(line) for line in log.read_text().splitlines())
    assert status.items() >= {k: v for k, v in status_to_json(make_status("door")).items() if v}.items()
    assert [item_to_json(item) for item in items] == [as_python(line) for line in told]
    assert told[0]["capture_time_ns"] == 2**53 + 1
    assert isinstance(result.panoptic, PanopticMap)
    assert np.array_equal(pixels(tmp_path / "door-2-4.pgm"), result.panoptic.ids)
    assert log.with_suffix(".err").read_text() == "missed 0\n"


def test_it_finds_sources_and_tells_what_it_missed(sample: Path, tmp_path: Path) -> None:
    log = tmp_path / "out.txt"
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0") as publisher,
        started(["node", "subscribe.js", publisher.address, "--count", "2"], log=log, cwd=sample) as process,
    ):
        publisher.publish_status(make_status("door"))
        await_subscription(publisher, process, 2)  # that of every source's status, and then the source's
        publisher.publish_result("door", make_result(objects=1))
        publisher.socket.send_multipart(after_a_hole(publisher.session, number=5))
        assert ended(process) == 0
    assert len(log.read_text().splitlines()) == 2
    assert log.with_suffix(".err").read_text().splitlines() == ["door/tracks/ missed 3 messages", "missed 3"]


def after_a_hole(session: int, *, number: int) -> tuple[bytes, bytes, bytes]:
    """A message whose number leaves a hole behind it."""
    header = Header(type="result", kind="tracks", session=session, number=number, publish_time_ns=1)
    return topic_of("door", "tracks"), encode_header(header), encode_result(make_result(seed=1), "tracks")


def test_redis_streams_first_what_is_kept_and_then_what_comes(
    sample: Path, tmp_path: Path, redis_server: Callable[..., RedisServer]
) -> None:
    server, log = redis_server(tcp=True), tmp_path / "out.jsonl"
    sink = sink_at(server, tmp_path / "spool")
    try:
        put_results(sink, range(2))
        until_true(lambda: settled(sink))
        command = ["node", "subscribe.js", server.url, "--topic", "door/tracks", "--json", "--count", "4"]
        with started(command, log=log, cwd=sample) as process:
            until(lambda: len(log.read_text().splitlines()) == 2, process)
            put(sink, Gap("door", 1, 2, 4, "late"), 3)
            put(sink, kept(5), 9, gap_before=3)  # of which the messages in between are missed
            assert ended(process) == 0
    finally:
        sink.close()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["type"], line.get("seq")) for line in told] == [
        *(("result", 0), ("result", 1)),
        *(("gap", None), ("result", 5)),
    ]
    expected = decode_result(encode_result(kept(5), "tracks"))
    assert result_to_json(expected) | {"gap_before": 3} == as_python(told[-1])
    assert log.with_suffix(".err").read_text().splitlines() == ["everyframe:door/tracks missed 5 messages", "missed 5"]


def test_ctrl_c_ends_it_with_a_summary(sample: Path, tmp_path: Path) -> None:
    log = tmp_path / "out.txt"
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        with started(["node", "subscribe.js", f"tcp://127.0.0.1:{port}"], log=log, cwd=sample) as process:
            until(lambda: socket.poll(50) > 0, process)
            process.send_signal(2)
            assert ended(process) == 0
    assert log.with_suffix(".err").read_text() == "missed 0\n"
