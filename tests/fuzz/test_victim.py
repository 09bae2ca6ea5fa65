"""The process that reads mutants may die or hang; that is told, and another takes its place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.fuzz.media.clips import FRAMES, clips
from tests.fuzz.media.mutate import mutant
from tests.fuzz.media.victim import Victim

PATIENCE_SECONDS = 60.0


def test_death_and_silence_are_told_and_outlived(tmp_path: Path) -> None:
    suffix, whole = clips()["h264"]
    path = tmp_path / f"whole{suffix}"
    path.write_bytes(whole)
    with Victim() as victim:
        verdict = victim.read(str(path), seconds=PATIENCE_SECONDS)
        assert (verdict.outcome, verdict.frames, victim.starts) == ("read", FRAMES, 1)
        assert 10 < verdict.held_mb <= verdict.peak_mb < 1000
        missing = victim.read(str(tmp_path / "missing.mp4"), seconds=PATIENCE_SECONDS)
        assert (missing.outcome, victim.starts) == ("SourceNotFound", 1)

        strike(victim, signal.SIGSEGV)
        assert victim.read(str(path), seconds=PATIENCE_SECONDS).outcome == "died: SIGSEGV"
        assert victim.read(str(path), seconds=PATIENCE_SECONDS).frames == FRAMES
        assert victim.starts == 2

        strike(victim, signal.SIGSTOP)
        assert victim.read(str(path), seconds=0.2).outcome == "hang"


def strike(victim: Victim, sign: signal.Signals) -> None:
    assert victim._process is not None
    os.kill(victim._process.pid, sign)


def test_mutants_are_the_same_for_the_same_number() -> None:
    first = [mutant(number, clips()) for number in range(40)]
    assert first == [mutant(number, clips()) for number in range(40)]
    assert len({one.data for one in first}) == 40
    assert len({one.mutation for one in first}) > 5
