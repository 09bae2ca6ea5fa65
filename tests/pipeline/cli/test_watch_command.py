"""`everyframe watch` on a publisher of ours."""

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cli.app import execute
from pipeline.cli.watch_table import HEAD, table_line
from pipeline.messages import Detections, Gap, Latency, SourceStatus, TrackState, ZoneEvent
from pipeline.wire import result_from_json
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.cli.command_line import started
from tests.stages.publish.scenes import CAR, PERSON, panoptic, result, tracked
from tests.stages.publish.streams import put_results, sink_at, until


def some_results():
    for pts in range(1000):
        detections, tracks = tracked([[100, 20, 160, 90]], ids=[4], labels=[CAR])
        yield result(detections=detections, tracks=tracks, pts=pts)


class Publishing:
    """Publishes, from a thread, the items given, over and over from the first subscription on."""

    def __init__(self, items, *, every_seconds=0.002):
        self.address = ""
        self._items, self._every_seconds = list(items), every_seconds
        self._bound, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:
            self.address = publisher.address
            self._bound.set()
            while publisher.statistics().subscriptions == 0 and not self._stop.is_set():
                publisher.socket.poll(20)
                publisher.poll()
            while not self._stop.is_set():
                for item in self._items:
                    publisher.write(item)
                    if self._stop.wait(self._every_seconds):
                        return

    def __enter__(self):
        self._thread.start()
        assert self._bound.wait(20)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(20)


def watched(capsys, *arguments):
    code = execute(["watch", *arguments])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err.splitlines()


def test_a_table_with_a_line_a_message_and_at_the_end_how_many_were_missed(capsys):
    with Publishing(some_results()) as publishing:
        code, out, err = watched(capsys, publishing.address, "--topic", "door/tracks", "--count", "5")
    assert code == 0
    assert out[0] == HEAD
    assert len(out) == 6
    assert all(line.startswith("door ") and line.endswith("car 4 0.90") for line in out[1:])
    assert err == ["received 5, missed 0"]


def test_json_lines_are_results(capsys):
    with Publishing(some_results()) as publishing:
        code, out, _ = watched(capsys, publishing.address, "-t", "door/all", "-f", "json", "-n", "3")
    assert code == 0
    results = [result_from_json(json.loads(line)) for line in out]
    assert [r.source_id for r in results] == ["door"] * 3
    assert results[0].tracks.ids.tolist() == [4]


def test_gaps_are_printed_in_their_place(capsys):
    items = [next(some_results()), Gap("door", 1, 1, 3, "late")]
    with Publishing(items) as publishing:
        _, out, err = watched(capsys, publishing.address, "-t", "door/tracks", "-n", "10")
    told = [line for line in out if "gap: 3 frames lost up to 3: late" in line]
    assert len(told) in (4, 5, 6)
    assert "the publisher declared" in err[0]


def test_every_source_is_found(capsys):
    items = [
        item
        for source_id in ("door", "yard")
        for item in (SourceStatus(source_id, "STREAMING", 1), result(source_id=source_id))
    ]
    with Publishing(items) as publishing:
        _, out, _ = watched(capsys, publishing.address, "--count", "20")
    assert {line.split()[0] for line in out[1:]} == {"door", "yard"}


def test_labels_leave_out_what_is_of_other_classes(capsys):
    def crowd():
        for pts in range(1000):
            seen = tracked([[100, 20, 160, 90], [5, 5, 20, 60]], ids=[4, 5], labels=[CAR, PERSON])
            alone = tracked([[100, 20, 160, 90]], ids=[4], labels=[CAR])
            detections, tracks = seen if pts % 2 else alone
            yield result(detections=detections, tracks=tracks, pts=pts)

    with Publishing(crowd()) as publishing:
        code, out, err = watched(capsys, publishing.address, "-t", "door/tracks", "-l", "person", "-n", "3")
        assert code == 0
        assert len(out) == 4
        assert all(line.endswith("  person 5 0.90") for line in out[1:])
        assert int(err[0].split()[1].rstrip(",")) >= 5  # those without a person came, too
        code, _, err = watched(capsys, publishing.address, "-t", "door/tracks", "-l", "persn", "-n", "1")
    assert code == 2
    assert "label 'persn' is unknown to the model; " in err[-1]
    assert "person" in err[-1]


def test_silence_ends_it_where_that_was_asked_for(capsys):
    with Publishing([]) as publishing:
        code, out, err = watched(capsys, publishing.address, "--timeout", "0.2")
        assert (code, out, err) == (0, [HEAD], ["received 0, missed 0"])
        assert watched(capsys, publishing.address, "--timeout", "0.2", "--count", "1")[0] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(number):
    with Publishing(some_results()) as publishing:
        process = started("watch", publishing.address, "--topic", "door/tracks")
        assert process.stdout is not None
        assert process.stdout.readline() == f"{HEAD}\n"
        assert process.stdout.readline().startswith("door ")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err.startswith("received ")
    assert err.endswith("missed 0\n")


def test_a_reader_that_leaves_early_is_no_fault():
    with Publishing(some_results()) as publishing:
        process = started("watch", publishing.address, "--topic", "door/tracks")
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=30)
    assert process.returncode == 141
    assert err == ""


def test_the_address_may_come_from_the_configuration(tmp_path, capsys):
    with Publishing(some_results()) as publishing:
        (tmp_path / "e.yaml").write_text(f"publish: {{bind: '{publishing.address}'}}\n")
        code, out, _ = watched(capsys, "--config", str(tmp_path / "e.yaml"), "-t", "door/boxes", "-n", "1")
    assert code == 0
    assert len(out) == 2


def test_lines_of_every_kind():
    detections, tracks = tracked(
        [[0, 0, 9, 9], [20, 0, 29, 9]], ids=[1, 2], labels=[CAR, PERSON], states=[TrackState.CONFIRMED, TrackState.LOST]
    )
    full = result(
        detections=detections, tracks=tracks, panoptic=panoptic(np.ones((9, 16)), [CAR]), pts=2080, gap_before=2
    )
    assert table_line(full) == (
        "door                 1/2080  01:23.200     car 1 0.90, person 2 lost; after 2 lost; 1 segments in 16x9"
    )
    boxes_only = result(detections=Detections.of(detections.boxes, detections.scores, detections.labels), pts=None)
    assert table_line(boxes_only) == "door                    1/0  -             car 0.90"
    assert table_line(result(clock="host", capture_time_ns=1_700_000_000_123_000_000, analysed=False)) == (
        "door                    1/0  22:13:20.123  predicted"
    )
    assert table_line(Gap("yard", 2, 7, 7, "backlog")).endswith("2/7  -             gap: 1 frame lost up to 7: backlog")
    status = SourceStatus(
        "yard", "FAULTED", 3, message="nobody answers", resulted=9, dropped={"late": 2}, latency=Latency(1, 2, 3)
    )
    assert table_line(status).endswith("FAULTED, 9 results, 2 dropped, p95 2 ms: nobody answers")
    assert table_line(replace(status, damaged=3)).endswith(", 2 dropped, 3 damaged, p95 2 ms: nobody answers")
    seen = {"source_id": "yard", "epoch": 1, "seq": 7, "number": 0, "time_ns": 9_500_000_000, "place": "kerb"}
    left = ZoneEvent(type="zone_left", track_id=4, class_name="car", entered_time_ns=2_000_000_000, **seen)
    assert table_line(left) == "yard                    1/7  00:00:09.500  car 4 left kerb after 7.5 s"
    assert table_line(replace(left, entered_time_ns=None)).endswith("  zone_left kerb")  # as others may send it


def test_what_redis_holds_is_watched_like_what_is_published(capsys, redis_server, tmp_path, monkeypatch):
    server = redis_server(tcp=True, requirepass="canary-canary")
    monkeypatch.setenv("REDIS", "canary-canary")
    server.url = server.url.replace("redis://", "redis://:${REDIS}@")
    with sink_at(server, tmp_path) as sink:
        put_results(sink, range(3))
        until(lambda: sink.progress().delivered == {"door": 3})
    code, lines, told = watched(
        capsys, server.url, "--topic", "*/tracks", "--start", "beginning", "--format", "json", "--count", "3"
    )
    assert code == 0
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2]
    assert told == ["received 3, missed 0"]
    code, lines, told = watched(capsys, server.url, "--topic", "door/boxes", "--timeout", "0.3")
    assert code == 0
    assert "canary" not in "".join(lines + told)


def test_a_redis_that_cannot_be_reached_is_told_of_with_the_reason(capsys):
    code, _, told = watched(capsys, "redis://me:canary@127.0.0.1:1/0", "--timeout", "5.5")
    assert code == 0
    first, last = told
    assert "nothing yet of */tracks at redis://***@127.0.0.1:1/0; redis://***@127.0.0.1:1/0: Error" in first
    assert "Connection refused; it is tried again" in first
    assert last.startswith("received 0, missed 0; at the end redis://***@127.0.0.1:1/0: Error")
    assert "canary" not in first + last


def test_streams_of_another_prefix(capsys, redis_server, tmp_path):
    server = redis_server(tcp=True)
    for number, prefix in enumerate(("", "site7:")):
        with sink_at(server, tmp_path / str(number), prefix=prefix) as sink:
            put_results(sink, range(2 + number))
            until(lambda sink=sink, number=number: sink.progress().delivered == {"door": 2 + number})
    config = tmp_path / "site.yaml"
    config.write_text("sources: [a.mp4]\nredis: {prefix: 'site7:'}\n")
    asked = (server.url, "--start", "beginning", "--format", "json", "--timeout")
    frames = {
        how: [json.loads(line)["seq"] for line in watched(capsys, *asked, seconds, *how)[1]]
        for how, seconds in {
            (): "0.3",
            ("--prefix", "site7:"): "1",
            ("--prefix", ""): "1",
            ("--config", str(config)): "1",
            ("--config", str(config), "--prefix", ""): "1",
        }.items()
    }
    assert list(frames.values()) == [[], [0, 1, 2], [0, 1], [0, 1, 2], [0, 1]]


def test_a_start_needs_what_is_kept(capsys):
    code, _, told = watched(capsys, "tcp://127.0.0.1:9", "--start", "beginning")
    assert code == 2
    assert "start: only what Redis keeps" in told[0]
