"""How long each phase of a probe may take, and what it means that it took longer; on a clock of the test's own."""

from pipeline.cli.probe_messages import Opening, Watching
from pipeline.cli.probe_run import Progress
from pipeline.cli.probe_screen import progress_words
from pipeline.config import SourceConfig
from pipeline.errors import NoDecodableFrames, SourceUnreachable
from tests.pipeline.cli.findings import found

SOURCE = SourceConfig(url="rtsp://host/a", open_timeout_seconds=4.0, read_timeout_seconds=10.0)


def progress(*told):
    """A probe of 5 s that began at 100 s and was told these (message, time)."""
    made = Progress(SOURCE, 5.0, "starting", 100.0)
    for message, at in told:
        made.take(message, at)
    return made


def test_a_camera_that_does_not_answer_is_given_up_within_the_open_timeout_and_a_second():
    made = progress((Opening(), 101.0))
    assert (made.phase, made.since) == ("opening", 101.0)
    assert 4.0 < made.limit_seconds < 5.0
    error = made.overdue(105.7)
    assert isinstance(error, SourceUnreachable)
    assert str(error) == "rtsp://host/a did not answer within 4 s"


def test_one_that_opens_has_the_read_timeout_for_its_first_frame():
    made = progress((Opening(), 101.0), (Watching(found(frames=0)), 101.2), (Watching(found(frames=0)), 105.0))
    assert (made.phase, made.since) == ("first frame", 101.2)
    assert 10.0 < made.limit_seconds <= 12.0
    assert isinstance(made.overdue(113.2), NoDecodableFrames)
    assert progress_words(made) == "open; waiting for the first frame"


def test_one_that_goes_on_is_watched_from_its_first_frame():
    told = [(Watching(found(frames=n)), 101.2 + n) for n in range(4)]
    made = progress((Opening(), 101.0), *told)
    assert (made.phase, made.since, made.last_frame_at) == ("watching", 102.2, 104.2)
    assert 5.0 < made.limit_seconds <= 7.0
    assert progress_words(made) == "watching: 3 frames in 5.0 s"


def test_silence_at_the_end_is_a_stall_unless_it_is_the_pace():
    def silent(seconds, **changes):
        told = [(Watching(found(frames=n, **changes)), 102.0) for n in range(2)]
        return progress((Opening(), 101.0), *told).overdue(102.0 + seconds)

    assert silent(1.9) is None
    assert "sent no picture in the last 2.1 s, after 1 frames" in str(silent(2.1))
    assert silent(7.0, measured_rate=0.5) is None
    assert isinstance(silent(11.0, measured_rate=0.5), SourceUnreachable)
    assert silent(7.0, live=False) is None


def test_a_process_that_does_not_start_is_not_the_cameras_fault():
    assert "did not start in time" in str(progress().overdue(131.0))
