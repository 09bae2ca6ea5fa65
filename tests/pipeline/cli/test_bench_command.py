"""`everyframe bench cameras` with its own cameras, shortly; how many a machine carries is not for a test to say."""

import json
import os
from contextlib import closing
from itertools import count, pairwise

import pytest

from pipeline.cli.app import execute
from pipeline.cli.bench_cameras import sender
from pipeline.config import SourceConfig
from stages.decode import open_source


def test_the_senders_cameras_send_what_cameras_do():
    with sender() as cameras:
        for path in ("a", "b"):
            source = SourceConfig(url=f"rtsp://127.0.0.1:{cameras.port}/{path}", open_timeout_seconds=30.0)
            with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
                frames = [frame for frame, _ in zip(reader, range(60), strict=False)]
                assert (reader.info.codec, reader.info.frame_rate, reader.undecoded) == ("h264", 25, 0)
            assert {(frame.width, frame.height) for frame in frames} == {(1280, 720)}
            steps = {b.pts - a.pts for a, b in pairwise(frames[1:])}
            assert steps == {90_000 // 25}
            assert frames[0].surface.planes[0].std() > 10  # there is something to see
        assert os.path.exists(f"/proc/{cameras.pid}")
    assert not os.path.exists(f"/proc/{cameras.pid}")


def test_a_short_run_of_the_whole(capsys):
    arguments = ["--detector", "none", "--most", "1", "--seconds", "2", "--latency", "5000", "--format", "json"]
    code = execute(["bench", "cameras", *arguments])
    printed = capsys.readouterr()
    assert printed.err == ""
    report = json.loads(printed.out)
    assert report["wanted"] == {"seconds": 2.0, "most": 1, "p95_ms": 5000.0, "analysed_fps": 1.0}
    assert report["machine"]["cores"] >= 1
    (capacity,) = report["capacities"]
    (step,) = capacity["steps"]
    assert (capacity["model"], step["cameras"]) == ("none", 1)
    assert capacity["cameras"] == (1 if step["failure"] is None else 0)
    assert code == 1 - capacity["cameras"]
    assert step["decoded_fps"] > 1  # all of 25, unless this machine is busy with much else
    assert step["cores"] > 0
    assert step["p95_ms"] >= step["p50_ms"] > 0
    assert step["complaints"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bench"], "the following arguments are required"),
        (["bench", "networks"], "invalid choice: 'networks'"),
        (["bench", "cameras", "--most", "0"], "--most: 0 is too small"),
    ],
)
def test_bad_usage(arguments, told, capsys):
    assert execute(arguments) == 2
    assert told in capsys.readouterr().err
