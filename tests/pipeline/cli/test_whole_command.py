"""The command with everything behind it: workers, a network, a socket; on a network that always sees one person."""

import json
import re
import signal
import socket
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.cameras import numbered_frames, numbered_video
from tests.cameras.files import write_video
from tests.networks import constant
from tests.pipeline.cli.command_line import everyframe, one_line, started

SIDE = 96
FRAMES = 60
STOP_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # for a machine under load


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A YOLOX graph whose answer is always a person in the middle of the picture."""
    cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    answer = np.zeros((1, cells, 85), dtype=np.float32)
    middle = (SIDE // 8) ** 2 // 2 + SIDE // 16
    answer[0, middle, :6] = (0.0, 0.0, np.log(4.0), np.log(4.0), 1.0, 0.9)  # cx, cy, log w, log h, objectness, person
    path = tmp_path_factory.mktemp("network") / "person.onnx"
    return str(constant(path, picture=(1, 3, SIDE, SIDE), outputs=[answer]))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Sixty frames of 160x96 at 30000/1001 frames a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return str(write_video(path, numbered_frames(FRAMES, 160, 96), fps=Fraction(30000, 1001)))


@pytest.fixture
def flags(network, tmp_path):
    """What every run here is given."""
    (tmp_path / "e.yaml").write_text(f"supervisor: {{state_directory: '{tmp_path / 'state'}'}}\n")
    return ["--detector", network, "--precision", "f32", "--config", str(tmp_path / "e.yaml")]


def row_of(out, source_id):
    """The figures of a source in the summary: captured, resulted, dropped, in flight, undecoded."""
    figures = re.search(
        rf"^ *{source_id} +(\d+) +(\d+) +(\d+)(?: \([^)]*\))? +(\d+) +(\d+) .* balanced", out, re.MULTILINE
    )
    assert figures is not None, out
    return [int(figure) for figure in figures.groups()]


def test_a_file_from_end_to_end(clip, flags, tmp_path):
    done = everyframe(
        "run", f"street={clip}", *flags, "--publish", "tcp://127.0.0.1:0", "--output", "out", "--annotate", "out.mp4",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    assert row_of(done.stdout, "street") == [FRAMES, FRAMES, 0, 0, 0]
    assert "subscribe:  everyframe watch tcp://127.0.0.1:" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(FRAMES))
    assert {d["class_name"] for line in lines for d in line["detections"]} == {"person"}
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_results_repeat_byte_for_byte_in_either_engine(clip, flags, tmp_path):
    written = {}
    for engine in ("local", "inline"):
        done = everyframe(
            "run", clip, *flags, "--publish", "none", "--output", engine, "--engine", engine, cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert row_of(done.stdout, "clip") == [FRAMES, FRAMES, 0, 0, 0]
        written[engine] = (tmp_path / engine / "results.jsonl").read_bytes()
    assert written["local"] == written["inline"]


def test_inline_a_source_that_cannot_be_read_harms_no_other(clip, flags, tmp_path):
    done = everyframe("run", "missing.mp4", clip, *flags, "--engine", "inline", cwd=tmp_path)
    assert done.returncode == 1
    assert one_line(done.stderr) == "everyframe: missing: missing.mp4 does not exist"
    assert row_of(done.stdout, "clip") == [FRAMES, FRAMES, 0, 0, 0]
    assert "subscribe" not in done.stdout


def test_inline_a_signal_drains(clip, flags, tmp_path):
    process = started("run", clip, *flags, "--engine", "inline", "--realtime", cwd=tmp_path)
    lines_until(process, "clip: streaming")
    code, out, err, took = end(process, signal.SIGINT)
    assert (code, err) == (130, "")
    assert took < STOP_SECONDS
    captured, resulted, *_, in_flight, _ = row_of(out, "clip")
    assert captured >= resulted
    assert in_flight == 0


def test_a_source_that_cannot_be_read_is_named_and_harms_no_other(clip, flags, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video\n")
    with av.open(str(tmp_path / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    bad = {
        "missing.mp4": "missing: missing.mp4 does not exist",
        "empty.mp4": "empty: empty.mp4 is empty",
        "text.mp4": "text: text.mp4 is no video that can be read",
        "audio.mp4": "audio: audio.mp4 holds no video (only audio)",
    }
    done = everyframe("run", *bad, clip, *flags, "--publish", "none", cwd=tmp_path)
    assert done.returncode == 1
    told = done.stderr.splitlines()
    assert len(told) == len(bad)
    for expected in bad.values():
        assert [line for line in told if line.startswith(f"everyframe: {expected}")], (expected, told)
    assert row_of(done.stdout, "clip") == [FRAMES, FRAMES, 0, 0, 0]
    assert row_of(done.stdout, "missing") == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.onnx", None, "missing.onnx: no such model file"),
        ("broken.onnx", b"not a model", "broken.onnx: not an ONNX model that can be read"),
        ("unknown.onnx", "graph", "unknown.onnx: the model is of no known layout"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(clip, tmp_path, name, content, told):
    if content == "graph":
        constant(tmp_path / name, picture=(1, 3, 8, 8), outputs=[np.zeros((1, 7), np.float32)])
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    done = everyframe("run", clip, "--detector", name, "--publish", "none", cwd=tmp_path)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith(f"everyframe: {told}")


def test_a_class_the_model_does_not_know_is_a_usage_error(clip, flags, tmp_path):
    done = everyframe("run", clip, *flags, "--publish", "none", "--classes", "persn", cwd=tmp_path)
    assert done.returncode == 2
    assert "'persn'" in one_line(done.stderr)


def test_a_taken_port_is_named_with_the_way_out(clip, flags, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = everyframe("run", clip, *flags, "--publish", address, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{address} is in use" in one_line(done.stderr)
    assert "--publish" in done.stderr


def test_an_output_that_cannot_be_written_is_named(clip, flags, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, told in ((["--output", "file"], "file/results.jsonl"), (["--annotate", "file/a.mp4"], "file/a.mp4")):
        done = everyframe("run", clip, *flags, "--publish", "none", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert one_line(done.stderr).startswith(f"everyframe: {told}: cannot be written")


def lines_until(process, wanted):
    """Reads the output up to a line that holds `wanted`; all lines so far."""
    lines = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        assert line, (lines, process.stderr.read())
        lines.append(line)
        if wanted in line:
            return lines
    raise AssertionError(f"{wanted!r} did not come: {lines}")


def end(process, number):
    """Sends a signal; exit code, what was printed since, and how long it took."""
    asked_at = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err, time.monotonic() - asked_at


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_runs_until_it_is_told_to_stop(rtsp_camera, flags, tmp_path, number):
    camera = rtsp_camera(numbered_video(), user="viewer", password="hunter2canary")
    url = camera.url_of("/stream", user="viewer", password="PLACE").replace("PLACE", "${CAM}")
    process = started(
        "run", f"door={url}", *flags, "--publish", "tcp://127.0.0.1:0", "--output", "out", cwd=tmp_path,
        CAM="hunter2canary",
    )  # fmt: skip
    head = lines_until(process, "subscribe:")
    address = head[-1].split()[3]
    watched = everyframe("watch", address, "--topic", "door/tracks", "--count", "5", "--timeout", "60")
    assert watched.returncode == 0
    assert len(watched.stdout.splitlines()) == 6
    code, out, err, took = end(process, number)
    assert (code, err) == (0, "")
    assert took < STOP_SECONDS
    captured, resulted, *_, undecoded = row_of(out, "door")
    assert captured >= resulted >= 1
    assert undecoded == 0
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["type"] == "result" for line in lines) == resulted
    assert "hunter2canary" not in "".join(head) + out + err + watched.stdout + "".join(lines)


def test_cameras_that_refuse_are_named_and_the_other_goes_on(rtsp_camera, flags, tmp_path):
    good = rtsp_camera(numbered_video())
    locked = rtsp_camera(numbered_video(), user="viewer", password="right")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"rtsp://127.0.0.1:{closed.getsockname()[1]}/a"
    wrong = locked.url_of("/stream", user="viewer", password="hunter2canary")
    process = started(
        "run", f"good={good.url}", f"locked={wrong}", f"nobody={nobody}", *flags, "--publish", "none", cwd=tmp_path
    )
    out = ""
    for wanted in ("locked: unauthorized", "nobody: faulted", "good: streaming"):
        if wanted not in out:
            out += "".join(lines_until(process, wanted))
    code, rest, err, took = end(process, signal.SIGINT)
    out += rest
    assert code == 1
    assert took < STOP_SECONDS
    warning, *told = err.splitlines()
    assert warning.startswith("everyframe: warning: a password on the command line")
    assert len(told) == 2
    assert "refused the user or the password (401)" in told[0]
    assert "refused the connection" in told[1]
    captured, resulted, *_ = row_of(out, "good")
    assert captured >= resulted
    assert "hunter2canary" not in out + err
