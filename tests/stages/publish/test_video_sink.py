import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import SinkError
from pipeline.messages import Gap, SourceStatus
from stages.publish.recorder import Timeline, VideoRecorder, fit
from stages.publish.video import AnnotatedVideoSink
from tests.stages.publish.scenes import picture, result, surface


def times_of(path):
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def write(sink, ticks, **values):
    for seq, pts in enumerate(ticks):
        width, height = values.get("width", 320), values.get("height", 180)
        sink.write(result(pts=pts, seq=seq, **values), surface(width, height))


@pytest.mark.parametrize(
    ("time_base", "step"),
    [(Fraction(1, 25), 1), (Fraction(1001, 30000), 1), (Fraction(1, 90000), 3003), (Fraction(1, 1000), 40)],
)
def test_every_frame_is_there_at_its_own_time(tmp_path, time_base, step):
    path = tmp_path / "out.mp4"
    sink = AnnotatedVideoSink(path)
    write(sink, range(7 * step, 37 * step, step), time_base=time_base)
    sink.close()
    assert times_of(path) == [i * step * time_base for i in range(30)]
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 1 / (step * time_base)


def test_a_variable_frame_rate_stays_variable(tmp_path):
    ticks = [0, 40, 41, 300, 340, 1000]
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    write(sink, ticks, time_base=Fraction(1, 1000))
    sink.close()
    assert times_of(tmp_path / "out.mp4") == [Fraction(t, 1000) for t in ticks]


def test_without_timestamps_the_capture_clock_is_taken(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    for i in range(5):
        sink.write(result(pts=None, seq=i, capture_time_ns=10**18 + i * 40_000_000), surface(320, 180))
    sink.close()
    assert times_of(tmp_path / "out.mp4") == [Fraction(i, 25) for i in range(5)]


def test_time_only_grows_over_epochs_and_clocks_gone_back():
    timeline = Timeline(result(pts=100))
    given = [(1, 100), (1, 101), (1, 103), (2, 0), (2, 1), (2, 1), (2, 0), (2, 5), (3, 900)]
    ticks = [timeline.tick(result(pts=pts, epoch=epoch)) for epoch, pts in given]
    assert ticks == [0, 1, 3, 5, 6, 7, 8, 13, 18]


@pytest.mark.parametrize(("width", "height"), [(321, 181), (1, 1), (16, 15)])
def test_odd_sizes_get_the_next_even_one(tmp_path, width, height):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    write(sink, range(3), width=width, height=height)
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [(f.width, f.height) for f in frames] == [(width + width % 2, height + height % 2)] * 3


def test_a_picture_of_another_size_is_fitted_into_the_first_ones(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    write(sink, range(3))
    write(sink, range(3), width=180, height=320, epoch=2)
    sink.close()
    assert len(times_of(tmp_path / "out.mp4")) == 6
    fitted = fit(picture(100, 200), 200, 100)
    assert fitted.shape == (100, 200, 3)
    assert (fitted[:, :75] == 0).all()
    assert (fitted[:, 76:124] == 120).all()


def test_colours_survive(tmp_path):
    for height in (180, 720):  # BT.601 and BT.709
        recorder = VideoRecorder(tmp_path / "out.mp4", width=320, height=height, time_base=Fraction(1, 25))
        rgb = np.full((height, 320, 3), (200, 60, 30), dtype=np.uint8)
        recorder.write(rgb, tick=0, duration=1)
        recorder.close()
        with av.open(str(tmp_path / "out.mp4")) as container:
            frame = next(container.decode(video=0))
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - rgb).max() < 8


def test_each_of_several_sources_has_its_own_file(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4", several=True)
    for seq in range(3):
        for source_id in ("door", "yard"):
            sink.write(result(pts=seq, source_id=source_id), surface(320, 180))
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out-door.mp4", "out-yard.mp4"]
    assert len(times_of(tmp_path / "out-yard.mp4")) == 3


def test_one_file_is_not_shared_by_two_sources(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    write(sink, range(1))
    for _ in range(2):
        with pytest.raises(SinkError, match="cannot hold two sources, 'yard'"):
            write(sink, range(1), source_id="yard")
    sink.close()


def test_a_gap_is_told_of_for_a_second(tmp_path):
    def foot(frame):
        return frame.to_ndarray(format="rgb24")[-60:].astype(int)

    for name, gaps in (("plain.mp4", []), ("gap.mp4", [Gap("door", 1, 3, 9, "late")])):
        sink = AnnotatedVideoSink(tmp_path / name)
        write(sink, range(3), width=640, height=360)
        for gap in gaps:
            sink.write(gap)
        write(sink, range(10, 50), width=640, height=360)
        sink.close()
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(tmp_path / "gap.mp4")) as gap:
        pairs = list(zip(plain.decode(video=0), gap.decode(video=0), strict=True))
    told = [np.abs(foot(a) - foot(b)).max() > 60 for a, b in pairs]
    assert told == [False] * 3 + [True] * 26 + [False] * 14


def test_what_a_source_is_doing_is_not_drawn_and_no_frame_makes_no_file(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4")
    sink.write(SourceStatus("door", "STREAMING", 1))
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_named(tmp_path):
    with pytest.raises(SinkError, match=r"out\.avi: --annotate writes MP4"):
        AnnotatedVideoSink(tmp_path / "out.avi")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        AnnotatedVideoSink(tmp_path / "file" / "out.mp4")
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(SinkError, match=r"taken\.mp4: cannot be written: Is a directory; .*--annotate"):
        AnnotatedVideoSink(tmp_path / "taken.mp4")
    with pytest.raises(SinkError, match=r"taken\.mp4: cannot be written: Is a directory; .*--annotate"):
        VideoRecorder(tmp_path / "taken.mp4", width=32, height=32, time_base=Fraction(1, 25))


def test_a_closed_recorder_takes_nothing(tmp_path):
    recorder = VideoRecorder(tmp_path / "out.mp4", width=32, height=32, time_base=Fraction(1, 25))
    recorder.write(picture(32, 32), tick=0, duration=1)
    recorder.close()
    recorder.close()
    with pytest.raises(SinkError, match="it is closed"):
        recorder.write(picture(32, 32), tick=1, duration=1)


KILLED = """
import os, signal, sys
from fractions import Fraction
from tests.stages.publish.scenes import picture
from stages.publish.recorder import VideoRecorder
recorder = VideoRecorder(sys.argv[1], width=64, height=48, time_base=Fraction(1, 25))
for tick in range(400):
    recorder.write(picture(64, 48, grey=tick % 200), tick=tick, duration=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_a_video_that_can_be_read(tmp_path):
    path = tmp_path / "out.mp4"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(times_of(path)) >= 240  # x264 looks ahead, and a fragment is two seconds long


def test_the_file_of_a_source_that_was_removed_is_finished_and_never_written_over(tmp_path):
    sink = AnnotatedVideoSink(tmp_path / "out.mp4", several=True)
    write(sink, range(3))
    sink.write(SourceStatus("door", "REMOVED", 1))
    assert len(times_of(tmp_path / "out-door.mp4")) == 3
    write(sink, range(5))
    sink.close()
    assert len(times_of(tmp_path / "out-door.mp4")) == 3
    assert len(times_of(tmp_path / "out-door-2.mp4")) == 5
