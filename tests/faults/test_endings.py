"""A disk that fills up, a machine with little shared memory, and being told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import pytest

from pipeline.epochs import EpochStore
from stages.publish.recorder import KEYFRAME_EVERY
from tests.faults.running import BUILDER, DEADLINE_SECONDS, allowed, children_of, is_running, running
from tests.require import skip_without

ROOT = Path(__file__).parents[2]
COMMAND = f"""
import sys
from pipeline.cli import main, run_engine
from pipeline.engines.local import LocalEngine
run_engine.ENGINES["auto"] = lambda config, debug: LocalEngine(config, builder={BUILDER!r})
main()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB: room for what is written until it is filled on purpose."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        skip_without("root", lacking="the right to mount a file system that can be filled")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            return


@pytest.mark.fault("disk full", promise="inference goes on; alarm within 5 s; finished files valid")
def test_a_full_disk(small_disk: Path, seen: Callable[[str], None]) -> None:
    cameras = ("a=rtsp://fake?fps=50&breaks_at=60", "b=rtsp://fake?fps=50")
    output = {"directory": str(small_disk / "out"), "annotate": str(small_disk / "out.mp4")}
    with running(small_disk, *cameras, output=output, supervisor={"retry_first_seconds": 0.05}) as run:
        run.until(lambda: readable(small_disk / "out-b.mp4") >= KEYFRAME_EVERY)
        assert not run.engine.complaints
        fill(small_disk)
        alarm = run.until(lambda: any("No space left" in complaint for complaint in run.engine.complaints))
        before, epoch = len(run.listener.results("b")), run.listener.epoch("a")
        run.until(lambda: len(run.listener.results("b")) > before + 50)
        run.until(lambda: run.listener.epoch("a") > epoch + 1)  # epochs are kept on that disk, too
        run.stop()
        failed = sum(run.engine.sink_counts.failed["jsonl"].values())
    assert alarm < allowed(5)
    assert failed > 0
    assert {"jsonl", "video"} <= {complaint.partition(":")[0] for complaint in run.engine.complaints}
    written = [line for name in ("results", "timings") for line in lines(small_disk / "out" / f"{name}.jsonl")]
    assert len(written) > 10
    assert EpochStore(small_disk).issue("a") > run.listener.epoch("a")
    pictures = readable(small_disk / "out-b.mp4")
    assert pictures >= KEYFRAME_EVERY
    seen(f"alarm {alarm:.1f} s after; both went on, one reconnecting; {len(written)} whole lines, {pictures} pictures")


def readable(path: Path) -> int:
    """Pictures of a video up to where it breaks off; 0 before there is a first fragment."""
    pictures = 0
    with suppress(av.InvalidDataError, av.EOFError, av.FileNotFoundError), av.open(str(path)) as video:
        for _ in video.decode(video=0):
            pictures += 1
    return pictures


def lines(path: Path) -> list[object]:
    """Every line of a file, which must be whole."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.fault("a small /dev/shm", promise="rings are memfds, which it does not bound; nothing appears in it")
def test_shared_memory_does_not_lie_in_dev_shm(tmp_path: Path, seen: Callable[[str], None]) -> None:
    inner = f"""
mount -t tmpfs -o size=4k tmpfs /dev/shm || exit 77
{sys.executable} -c "$SCRIPT" run clip.fake?frames=40\\&width=640 --detector model --publish none -q || exit 1
ls /dev/shm | wc -l
"""
    environment = {**os.environ, "SCRIPT": COMMAND, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inner], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        skip_without("root", lacking="the right to mount a /dev/shm of its own")
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done
    seen("ran with a /dev/shm of 4 kB, and left nothing in it")


@contextmanager
def command(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`everyframe run` of a fake camera into files, once the first results are in them."""
    arguments = ["run", "a=rtsp://fake?fps=25", "--detector", "model", "--publish", "none", "-q"]
    files = ["--output", str(tmp_path / "out"), "--annotate", str(tmp_path / "out.mp4")]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    results = tmp_path / "out" / "results.jsonl"
    with subprocess.Popen([sys.executable, "-c", COMMAND, *arguments, *files], cwd=ROOT, env=environment) as process:
        try:
            deadline = time.monotonic() + 90
            while not results.is_file() or results.read_bytes().count(b"\n") < 10:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


@pytest.mark.fault("Ctrl-C, SIGTERM", promise="drains, closes files readably, exits within 5 s")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_told_to_stop(number: signal.Signals, tmp_path: Path, seen: Callable[[str], None]) -> None:
    with command(tmp_path) as process:
        asked = time.monotonic()
        process.send_signal(number)
        code = process.wait(60)
        took = time.monotonic() - asked
    assert code == 0
    assert took < allowed(5)
    results = sum(line["type"] == "result" for line in lines(tmp_path / "out" / "results.jsonl"))  # type: ignore[index]
    with av.open(str(tmp_path / "out.mp4")) as video:
        pictures = sum(1 for _ in video.decode(video=0))
    assert pictures == results
    seen(f"{number.name}: exit {took:.1f} s after; {results} results in the file, {pictures} pictures in the video")


@pytest.mark.fault("a second Ctrl-C or SIGTERM", promise="exits at once, whatever hangs")
def test_being_told_twice(tmp_path: Path, seen: Callable[[str], None]) -> None:
    with command(tmp_path) as process:
        workers = children_of(process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # so that nothing can drain
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        took = time.monotonic() - asked
    assert code != 0
    assert took < allowed(1)
    assert not [worker for worker in workers if is_running(worker)]
    assert lines(tmp_path / "out" / "results.jsonl")
    seen(f"exit {took:.2f} s after the second, with every worker suspended; none left")


def interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.fault("a second Ctrl-C or SIGTERM", promise="exits at once, whatever hangs")
def test_an_interrupted_stop_leaves_no_worker(tmp_path: Path, seen: Callable[[str], None]) -> None:
    """In a program: whoever is interrupted while it waits for the end has no process left, also none that hangs."""
    with running(tmp_path, "a=rtsp://fake?fps=50") as run:
        workers = [seat.child.pid for seat in run.engine._roster.seats if seat.child is not None]
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        before = signal.signal(signal.SIGALRM, interrupted)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        asked = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                run.engine.stop()
        finally:
            signal.signal(signal.SIGALRM, before)
        took = time.monotonic() - asked
        left = [worker for worker in workers if is_running(worker)]
        run.listener.join(DEADLINE_SECONDS)
    assert (len(workers), left) == (3, [])
    seen(f"interrupted after 0.2 s, its 3 suspended workers gone {took:.2f} s after it was asked")
