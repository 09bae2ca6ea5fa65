"""`everyframe run` around an engine that does as it is told."""

import os
import signal

import pytest

from pipeline.cli import run_engine
from pipeline.cli.app import execute
from pipeline.errors import ModelError, SinkError, SourceNotFound
from tests.pipeline.cli.fakes import FakeEngine, statistics, status


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command with an engine; gives its exit code and what it printed."""

    def with_engine(engine, *arguments):
        monkeypatch.setitem(run_engine.ENGINES, "auto", lambda config, debug: engine)
        code = execute(["run", *(arguments or ("door=clip.mp4",))])
        assert engine.left
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return with_engine


ENDED = status(state="ENDED", expected_frames=100, damaged=3)


def test_a_run_that_ends_well(run):
    instants = [
        statistics(status(state="CONNECTING", captured=0, resulted=0, latency=None), elapsed_seconds=0.0),
        statistics(status(captured=60, resulted=58, in_flight=2), elapsed_seconds=2.0, notes=("OpenVINO bf16",)),
        statistics(ENDED, notes=("OpenVINO bf16",)),
    ]
    engine = FakeEngine(*instants)
    code, out, err = run(engine)
    assert (code, err) == (0, "")
    assert engine.stopped
    assert "subscribe:  everyframe watch tcp://127.0.0.1:5560 --topic door/tracks" in out
    assert "door with everyframe-nano" in out
    assert out.count("OpenVINO bf16") == 1
    assert out.index("door: connecting") < out.index("door: streaming") < out.index("door: ended")
    assert "100 results in 4.0 s, 25.0 frames/s" in out
    (row,) = [line for line in out.splitlines() if "balanced" in line]
    assert " ".join(row.split()) == "door 100 100 0 0 0 3 25.0 10.0 / 21.5 / 30.0 balanced"


def test_output_that_is_no_terminal_has_no_control_codes(run):
    _, out, err = run(FakeEngine(statistics(status(dropped={"late": 1}, captured=101)), statistics(ENDED)))
    assert "\x1b" not in out + err
    assert "\r" not in out + err


def test_nothing_published_nothing_to_subscribe_to(run):
    _, out, _ = run(FakeEngine(statistics(ENDED), address=""))
    assert "subscribe" not in out


def test_quiet_prints_nothing_but_what_goes_wrong(run):
    engine = FakeEngine(
        statistics(ENDED), complaints=("vision ended (signal 9)",), errors={"door": SourceNotFound("x")}
    )
    code, out, err = run(engine, "door=clip.mp4", "--quiet")
    assert (code, out) == (1, "")
    assert err.splitlines() == ["everyframe: warning: vision ended (signal 9)", "everyframe: door: x"]


def test_a_source_that_failed_makes_the_run_fail_and_the_others_are_summed_up(run):
    failed = status("yard", state="NOT_FOUND", captured=0, resulted=0, latency=None, message="yard.mp4 does not exist")
    engine = FakeEngine(statistics(ENDED, failed), errors={"yard": SourceNotFound("yard.mp4 does not exist")})
    code, out, err = run(engine, "door=clip.mp4", "yard=yard.mp4")
    assert code == 1
    assert err == "everyframe: yard: yard.mp4 does not exist\n"
    assert "yard: not found: yard.mp4 does not exist" in out
    assert [line.split()[:3] for line in out.splitlines() if "balanced" in line] == [
        ["door", "100", "100"],
        ["yard", "0", "0"],
    ]


@pytest.mark.parametrize("when", ["at_start", "at_end"])
def test_what_ends_the_whole_run_is_told_in_one_line(run, when):
    error = ModelError("x.onnx: no such file; name another with --detector")
    nothing = status(captured=0, resulted=0)
    code, out, err = run(FakeEngine(statistics(nothing), **{when: error}))
    assert (code, err) == (1, "everyframe: x.onnx: no such file; name another with --detector\n")
    assert "balanced" not in out


def test_what_was_done_until_then_is_summed_up(run):
    engine = FakeEngine(statistics(status()), at_end=SinkError("out/results.jsonl: cannot be written: No space left"))
    code, out, err = run(engine)
    assert (code, err) == (1, "everyframe: out/results.jsonl: cannot be written: No space left\n")
    assert "balanced" in out
    assert engine.stopped


def test_a_taken_port_is_named_with_the_flag_that_chooses_another(run):
    engine = FakeEngine(statistics(ENDED), at_start=SinkError("tcp://127.0.0.1:5560 is in use; publish elsewhere"))
    code, _, err = run(engine)
    assert (code, err) == (
        1,
        "everyframe: tcp://127.0.0.1:5560 is in use; publish elsewhere: "
        "--publish tcp://127.0.0.1:0, or --publish none\n",
    )


def test_a_run_out_of_balance_is_loud(run):
    code, out, err = run(FakeEngine(statistics(status(state="ENDED", captured=103))))
    assert code == 1
    assert "OUT OF BALANCE BY 3" in out
    assert "door: 3 frames are unaccounted for" in err


def test_a_file_that_lost_frames_is_a_failure_and_a_camera_that_did_is_not(run):
    dropping = status(captured=110, dropped={"backlog": 7, "late": 3})
    code, out, err = run(FakeEngine(statistics(dropping)))
    assert (code, err) == (1, "everyframe: door: 10 frames of the file have no result; the summary says why\n")
    assert "10 (backlog 7, late 3)" in out
    assert run(FakeEngine(statistics(dropping)), "door=clip.mp4", "--realtime")[0] == 0
    assert run(FakeEngine(statistics(dropping)), "door=rtsp://host/a")[0] == 0


def test_an_output_that_failed_is_a_failure(run):
    code, _, err = run(FakeEngine(statistics(ENDED), failed_sinks={"jsonl": {"door": 4}, "video": {}}))
    assert (code, err) == (1, "everyframe: jsonl: 4 items could not be written\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_and_tells_that_a_file_was_cut_off(run, number, code):
    def at_wait(look):
        if look == 2:
            os.kill(os.getpid(), number)

    engine = FakeEngine(statistics(status(expected_frames=1000)), at_wait=at_wait, endless=True)
    given, out, err = run(engine)
    assert (given, err) == (code, "")
    assert engine.stopped
    assert "balanced" in out


def test_ctrl_c_is_how_a_run_of_cameras_ends(run):
    def at_wait(look):
        os.kill(os.getpid(), signal.SIGINT)

    engine = FakeEngine(statistics(status()), at_wait=at_wait, endless=True)
    assert run(engine, "door=rtsp://host/a")[0] == 0


def test_but_not_where_a_camera_never_came(run):
    dead = status("yard", state="UNAUTHORIZED", captured=0, resulted=0, latency=None, message="refused the password")
    again = status("yard", state="CONNECTING", captured=0, resulted=0, latency=None)

    def at_wait(look):
        if look == 2:
            os.kill(os.getpid(), signal.SIGINT)

    engine = FakeEngine(statistics(status(), dead), statistics(status(), again), at_wait=at_wait, endless=True)
    code, _, err = run(engine, "door=rtsp://host/a", "yard=rtsp://host/b")
    assert (code, err) == (1, "everyframe: yard: refused the password\n")


def test_a_second_signal_breaks_off(run):
    def at_wait(look):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    engine = FakeEngine(statistics(status()), at_wait=at_wait, endless=True)
    code, out, _ = run(engine, "door=rtsp://host/a")
    assert code == 130
    assert not engine.stopped
    assert "balanced" not in out


def test_signals_are_as_before_afterwards(run):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(FakeEngine(statistics(ENDED)))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_fault_of_ours_is_one_line_too(run):
    def at_wait(look):
        raise ZeroDivisionError("by zero\nof all things")

    code, _, err = run(FakeEngine(statistics(status()), at_wait=at_wait))
    assert (code, err) == (
        1,
        "everyframe: internal error: ZeroDivisionError: by zero; of all things; --debug shows where\n",
    )


def test_a_password_on_the_command_line_gets_a_warning(run):
    _, _, err = run(FakeEngine(statistics(status())), "door=rtsp://viewer:hunter2canary@host/a?x=1")
    assert "everyframe: warning: a password on the command line" in err
    assert "'door=rtsp://USER:${CAMERA_PASSWORD}@host/a?***'" in err
    assert "hunter2canary" not in err


def test_one_from_the_environment_gets_none(run, monkeypatch):
    monkeypatch.setenv("CAM", "hunter2canary")
    _, out, err = run(FakeEngine(statistics(status())), "door=rtsp://viewer:${CAM}@host/a")
    assert err == ""
    assert "hunter2canary" not in out


def test_where_files_were_written_is_said(run):
    _, out, _ = run(FakeEngine(statistics(ENDED)), "door=clip.mp4", "--output", "some/place", "--annotate", "a.mp4")
    assert "written: some/place" in out
    assert "written: a.mp4" in out
