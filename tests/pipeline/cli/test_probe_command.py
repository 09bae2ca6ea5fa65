"""`everyframe probe` against cameras and files that are well, and against those that are not."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from pipeline.cli.app import execute
from tests.cameras import (
    Answer,
    Behaviour,
    CameraClock,
    ChangeVideo,
    HangUpAfter,
    NoKeyframes,
    RefuseCredentials,
    SilentAt,
    StallAfter,
    numbered_frames,
    numbered_video,
)
from tests.cameras.files import write_video
from tests.cameras.http_server import MJPEG, HttpCamera, mjpeg_parts
from tests.pipeline.cli.command_line import started

SECONDS = "1.5"
STARTING_SECONDS = 25.0  # of the child, on a machine that is busy with much else
STARVED_SECONDS = 4.0  # what such a machine may be late by; exactly how late is in test_probe_progress
OPEN_TIMEOUT = 1.0


@pytest.fixture
def probed(capsys):
    """Runs the command; gives its exit code and what it found."""

    def run(source, *arguments):
        code = execute(["probe", source, "--seconds", SECONDS, "--format", "json", *arguments])
        printed = capsys.readouterr()
        assert printed.err == "" or "warning: a password" in printed.err
        return code, json.loads(printed.out)

    return run


@pytest.fixture
def hasty(tmp_path):
    """Options that make the deadlines short."""

    def options(url, **settings):
        path = tmp_path / "probe.yaml"
        path.write_text(json.dumps({"sources": [{"url": url, "source_id": "door", **settings}]}))
        return ("door", "--config", str(path))

    return options


def test_a_camera_that_is_well(probed, rtsp_camera):
    code, report = probed(rtsp_camera(numbered_video(keyframe_interval=10)).url)
    found = report["found"]
    assert (code, report["error"], report["reasons"]) == (0, None, [])
    assert report["verdict"] == "usable"
    stream = found["stream"]
    assert (stream["container"], stream["codec"], stream["decoder"]) == ("rtsp", "h264", "h264")
    assert (stream["width"], stream["height"], stream["chroma"], stream["bits"]) == (320, 240, "4:2:0", 8)
    assert stream["declared_rate"] == 25.0
    assert found["measured_rate"] == pytest.approx(25.0, rel=0.01)
    assert found["keyframes"]["interval_frames"] == 10
    assert found["keyframes"]["interval_seconds"] == pytest.approx(0.4, rel=0.01)
    assert (found["b_frames"], found["undecoded"], found["clock_jumps"]) == (False, 0, 0)
    assert found["clock"] in ("pts", "rtcp")
    assert 0 < found["open_seconds"] < found["first_frame_seconds"]
    assert found["watched_seconds"] >= float(SECONDS)
    assert found["bit_rate"] == pytest.approx(bits_a_second(numbered_video(keyframe_interval=10)), rel=0.2)


def bits_a_second(video):
    return sum(unit.nbytes for unit in video.units) * 8 / len(video) * float(video.fps)


def test_b_frames_are_seen_and_told_of(probed, rtsp_camera):
    code, report = probed(rtsp_camera(numbered_video(b_frames=2)).url)
    assert (code, report["verdict"]) == (0, "usable, but")
    assert report["found"]["b_frames"]
    assert report["found"]["held_back_frames"] >= 1
    assert any("B-frames hold every picture back" in reason for reason in report["reasons"])


def test_how_far_the_cameras_clock_is_off_is_told(probed, rtsp_camera):
    clock = CameraClock(offset_seconds=-3600, report_seconds=0.2)
    code, report = probed(rtsp_camera(behaviour=Behaviour(clock=clock)).url)
    assert (code, report["verdict"], report["found"]["clock"]) == (0, "usable, but", "rtcp")
    assert report["found"]["camera_ahead_seconds"] == pytest.approx(-3600, abs=2)
    assert any(reason.startswith("its clock is 60.0 min behind ours") for reason in report["reasons"])


def test_a_picture_that_changes_size(probed, rtsp_camera):
    behaviour = ChangeVideo(numbered_video(width=640, height=480), after_frames=20)
    code, report = probed(rtsp_camera(numbered_video(count=20), behaviour=behaviour).url)
    assert (code, report["found"]["resized"]) == (0, 1)
    assert any("changed size once" in reason for reason in report["reasons"])


def test_mjpeg_over_http_tells_no_time(probed):
    parts = mjpeg_parts(numbered_frames(20, 160, 120)) * 30
    with HttpCamera(parts, content_type=MJPEG) as camera:
        code, report = probed(camera.url)
    found = report["found"]
    assert (code, found["stream"]["codec"], found["clock"]) == (0, "mjpeg", "host")
    assert found["keyframes"]["interval_frames"] == 1
    assert found["measured_rate"] == found["arrival_rate"]
    assert any("tells no time" in reason for reason in report["reasons"])


def test_refused_credentials(probed, rtsp_camera):
    camera = rtsp_camera(behaviour=RefuseCredentials(), user="viewer", password="canary7hunter2")
    code, report = probed(camera.url)
    assert (code, report["verdict"], report["error"]) == (1, "not usable", "SourceUnauthorized")
    assert report["found"] is None
    assert "canary7hunter2" not in json.dumps(report)
    assert "401" in report["reasons"][0]


def test_an_unknown_path(probed, rtsp_camera):
    code, report = probed(rtsp_camera(behaviour=Answer(404)).url)
    assert (code, report["error"]) == (1, "SourceNotFound")


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "PLAY"])
def test_a_silent_camera_ends_within_the_open_timeout_and_a_second(method, probed, hasty, rtsp_camera):
    camera = rtsp_camera(behaviour=SilentAt(method))
    began = time.monotonic()
    code, report = probed(*hasty(camera.url, open_timeout_seconds=OPEN_TIMEOUT))
    assert (code, report["error"]) == (1, "SourceUnreachable")
    assert report["reasons"][0].endswith(f"did not answer within {OPEN_TIMEOUT:g} s")
    assert time.monotonic() - began < OPEN_TIMEOUT + 1 + STARTING_SECONDS
    assert camera.statistics.connections == (2 if method == "PLAY" else 1)  # it is called on, then opened


def test_a_camera_of_one_byte_now_and_then(probed, hasty):
    with SlowCamera() as camera:
        code, report = probed(*hasty(camera.url, open_timeout_seconds=OPEN_TIMEOUT))
        assert (code, report["error"]) == (1, "SourceUnreachable")
        assert camera.held_seconds < OPEN_TIMEOUT + 1 + STARVED_SECONDS


class SlowCamera:
    """Answers a request with a byte every tenth of a second, for ever."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/a"
        self._ended = threading.Event()
        self._held = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                began = time.monotonic()
                for _ in range(600):
                    try:
                        client.sendall(b"R")
                    except OSError:
                        break
                    if self._ended.wait(0.1):
                        break
                self._held.append(time.monotonic() - began)

    @property
    def held_seconds(self):
        """How long the longest client stayed, once it has left."""
        deadline = time.monotonic() + 30
        while not self._held and time.monotonic() < deadline:
            self._ended.wait(0.05)
        return max(self._held)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_a_camera_without_keyframes(probed, hasty, rtsp_camera):
    camera = rtsp_camera(behaviour=NoKeyframes())
    code, report = probed(*hasty(camera.url, read_timeout_seconds=1.5))
    assert (code, report["verdict"], report["error"]) == (1, "not usable", "NoDecodableFrames")
    assert report["found"]["stream"]["codec"] == "h264"  # what it says it is, is told all the same
    assert (report["found"]["frames"], report["found"]["keyframes"]["count"]) == (0, 0)


def test_a_camera_that_stops_sending(probed, rtsp_camera):
    code, report = probed(rtsp_camera(behaviour=StallAfter(20)).url)
    assert (code, report["error"]) == (1, "SourceUnreachable")
    assert "sent no picture in the last" in report["reasons"][0]
    assert 0 < report["found"]["frames"] <= 20


def test_a_camera_that_hangs_up(probed, rtsp_camera):
    code, report = probed(rtsp_camera(behaviour=HangUpAfter(20)).url)
    assert (code, report["error"]) == (1, "SourceUnreachable")
    assert "closed the connection after" in report["reasons"][0]


def test_a_file(probed, tmp_path):
    path = write_video(tmp_path / "clip.mp4", numbered_frames(60, 160, 120), options={"tune": "zerolatency"})
    code, report = probed(str(path))
    found = report["found"]
    assert (code, report["verdict"], report["reasons"]) == (0, "usable", [])
    assert (found["live"], found["clock"], found["stream"]["declared_frames"]) == (False, "recording", 60)
    assert found["measured_rate"] == pytest.approx(25.0, rel=0.001)


def test_a_rate_of_2997_stays_one(probed, tmp_path):
    from fractions import Fraction

    path = write_video(tmp_path / "clip.mp4", numbered_frames(60, 160, 120), fps=Fraction(30000, 1001))
    _, report = probed(str(path))
    assert report["found"]["stream"]["declared_rate"] == pytest.approx(30000 / 1001)
    assert report["found"]["measured_rate"] == pytest.approx(30000 / 1001, rel=1e-4)


def test_what_nvdec_cannot_decode_is_known_without_one(probed, tmp_path):
    pictures = list(numbered_frames(30, 160, 120))
    path = write_video(tmp_path / "clip.mp4", pictures, pixel_format="yuv444p", options={"profile": "high444"})
    code, report = probed(str(path))
    assert code == 0
    assert report["found"]["stream"]["chroma"] == "4:4:4"
    assert "cannot decode it: of h264 it takes 4:2:0, not 4:4:4" in report["nvdec"]


@pytest.mark.parametrize(
    ("name", "content", "error", "told"),
    [
        ("empty.mp4", b"", "SourceUnsupported", "is empty"),
        ("text.mp4", b"just some text, and no film\n" * 200, "SourceUnsupported", "is no video that can be read"),
        ("missing.mp4", None, "SourceNotFound", "does not exist"),
    ],
)
def test_files_that_are_none(name, content, error, told, probed, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, report = probed(str(tmp_path / name))
    assert (code, report["error"], report["found"]) == (1, error, None)
    assert told in report["reasons"][0]


def test_sound_alone(probed, tmp_path):
    import av
    import numpy as np

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    code, report = probed(str(tmp_path / "sound.mp4"))
    assert (code, report["error"]) == (1, "SourceUnsupported")
    assert "holds no video (only audio)" in report["reasons"][0]


@pytest.mark.shared
def test_a_real_hevc_clip(probed, shared_data):
    code, report = probed(str(shared_data / "videos" / "retail-hevc-1080p.mp4"))
    stream = report["found"]["stream"]
    assert (code, stream["codec"], stream["profile"], stream["declared_frames"]) == (0, "hevc", "Main", 603)
    assert stream["nvdec_refuses"] is None
    assert report["found"]["cpu_ms_a_frame"] > 0


def test_the_screen(capsys, rtsp_camera):
    code = execute(["probe", rtsp_camera(numbered_video(keyframe_interval=10)).url, "--seconds", SECONDS])
    out = capsys.readouterr().out
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("rtsp://127.0.0.1:")
    assert lines[-1] == "usable"
    assert any("rtsp, h264" in line and "320x240, yuv420p (4:2:0, 8 bit)" in line for line in lines)
    assert any(line.split()[:2] == ["keyframes", "every"] for line in lines)
    assert len(lines) <= 24  # one screen
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["probe"], "the following arguments are required"),
        (["probe", "a.mp4", "--seconds", "0"], "--seconds: 0 is too small; 0.5 or more is needed"),
        (["probe", "ftp://host/a"], "has the scheme 'ftp'"),
        (["probe", "rtsp://viewer:${NO_SUCH_VARIABLE}@host/a"], "needs the environment variable NO_SUCH_VARIABLE"),
        (["probe", "a.mp4", "b.mp4"], "unrecognized arguments: b.mp4"),
    ],
)
def test_bad_usage(arguments, told, capsys):
    assert execute(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_password_from_the_environment_is_neither_shown_nor_in_anybodys_arguments(rtsp_camera):
    canary = "canary7hunter2"
    camera = rtsp_camera(behaviour=StallAfter(5), user="viewer", password=canary)
    url = camera.url.replace(canary, "${CAM}")
    process = started("probe", url, "--seconds", "3", CAM=canary)
    try:
        deadline = time.monotonic() + STARTING_SECONDS
        while camera.statistics.playing == 0 and time.monotonic() < deadline:
            assert process.poll() is None
            os.sched_yield()
        assert canary not in "".join(arguments_of(pid) for pid in [process.pid, *children_of(process.pid)])
    finally:
        out, err = process.communicate(timeout=60)
    assert "${CAM}" in out
    assert canary not in out + err


def children_of(pid):
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in text.split()]


def arguments_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_its_child_at_once(number, rtsp_camera):
    camera = rtsp_camera(behaviour=SilentAt("PLAY"))
    process = started("probe", camera.url)
    deadline = time.monotonic() + STARTING_SECONDS
    while camera.statistics.connections == 0 and time.monotonic() < deadline:
        assert process.poll() is None
        os.sched_yield()
    (child,) = children_of(process.pid)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode in (128 + number, -number)
    deadline = time.monotonic() + STARTING_SECONDS
    while "probe_child" in arguments_of(child):
        assert time.monotonic() < deadline, "the child has outlived its parent"
        os.sched_yield()


def test_a_decoder_that_takes_its_process_down_is_told_of(probed, tmp_path, monkeypatch):
    """The child is one that kills itself, in the place of the real one."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import os; os.kill(os.getpid(), 11)'\n")
    fake.chmod(0o755)
    path = write_video(tmp_path / "clip.mp4", numbered_frames(5, 160, 120))
    monkeypatch.setattr(sys, "executable", str(fake))
    code, report = probed(str(path))
    assert (code, report["error"]) == (1, "SourceUnsupported")
    assert "SIGSEGV" in report["reasons"][0]
