"""How far sources were outlives the process, and what a kill takes from memory is declared by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from stages.publish.handed_over import HandedOver, Mark
from tests.redis_server import RedisServer
from tests.stages.publish.streams import frames_of, put_results, settled, sink_at, until

ROOT = Path(__file__).parents[3]
# Redis answers nothing, so that all but the batch in hand waits in memory when the process is killed.
VICTIM = """
import os, sys
from pathlib import Path
from pipeline.config import RedisConfig
from stages.publish.redis import RedisSink
from tests.stages.publish.streams import put_results
sink = RedisSink(RedisConfig(url=sys.argv[1]), Path(sys.argv[2]), session=7)
print("connected", flush=True)
sys.stdin.readline()
put_results(sink, range(1, 300))
print("handed over", flush=True)
sys.stdin.readline()
"""


def test_marks_outlive_the_process(tmp_path: Path) -> None:
    first = HandedOver(tmp_path / "marks")
    assert first.left == {}
    first.note("door", Mark(1, 4))
    first.note("x" * 64, Mark(2**63 - 1, 1))
    first.note("door", Mark(2, 1))
    # no `close`: a kill does not
    assert HandedOver(tmp_path / "marks").left == {"door": Mark(2, 1), "x" * 64: Mark(2**63 - 1, 1)}


def test_a_damaged_mark_costs_itself_alone(tmp_path: Path) -> None:
    marks = HandedOver(tmp_path / "marks")
    marks.note("door", Mark(1, 4))
    marks.note("yard", Mark(1, 9))
    with (tmp_path / "marks").open("r+b") as file:
        file.seek(70)
        file.write(b"\xff")
    again = HandedOver(tmp_path / "marks")
    assert again.left == {"yard": Mark(1, 9)}
    again.note("door", Mark(3, 1))
    assert HandedOver(tmp_path / "marks").left == {"door": Mark(3, 1), "yard": Mark(1, 9)}


def test_a_place_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"redis\.spool_directory"):
        HandedOver(tmp_path / "missing" / "marks")


def test_what_a_kill_took_from_memory_is_declared(redis_server: Callable[..., RedisServer], tmp_path: Path) -> None:
    server = redis_server()
    with sink_at(server, tmp_path / "spool") as sink:
        put_results(sink, range(1))
        until(lambda: settled(sink))
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, server.url, str(tmp_path / "spool")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"connected\n"
    server.suspend()
    victim.stdin.write(b"\n")
    victim.stdin.flush()
    assert victim.stdout.readline() == b"handed over\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    server.resume()
    with sink_at(server, tmp_path / "spool", session=8) as sink:
        put_results(sink, range(1), epoch=2, session=8)
        until(lambda: settled(sink))
    frames = frames_of(server)
    assert [frame[:2] for frame in frames] == [*((1, seq) for seq in range(300)), (2, 0)]
    assert frames[0][2]
    assert not frames[299][2]


def test_a_recording_that_is_analysed_again_is_stored_again(
    redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    """Its frames are those of before: where Redis has lost them, none may be declared lost ahead of them."""
    server = redis_server()
    for session in (7, 8):
        with sink_at(server, tmp_path / "spool", session=session) as sink:
            put_results(sink, range(4), session=session)
            until(lambda: settled(sink))
        assert frames_of(server) == [(1, seq, True) for seq in range(4)]
        server.client.flushall()
