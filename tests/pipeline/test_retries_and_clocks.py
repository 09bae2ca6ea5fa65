"""Back-off, restarts, epochs, pacing, latency: pure, or on a clock that a test turns."""

from __future__ import annotations

import errno
import os
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.clock import ManualClock, Pacer
from pipeline.epochs import EpochStore, default_directory
from pipeline.errors import ConfigError
from pipeline.latency import BUCKETS, bucket_of, latency_of, percentile_ms, record
from pipeline.messages import Frame, Surface
from pipeline.retry import Backoff, RestartPolicy
from pipeline.states import SourceState
from pipeline.workers.bench import Pace
from pipeline.workers.camera import Rate
from pipeline.workers.labels import Labels

PLANES = (np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


def frame(pts: int | None, *, epoch: int = 1, seq: int = 0, jump: bool = False) -> Frame:
    surface = Surface("yuv420p", PLANES)
    return Frame("a", epoch, seq, pts, Fraction(1, 30), 0, "recording", 0, surface, discontinuity=jump)


def backoff(chance: float = 0.5) -> Backoff:
    return Backoff(first_seconds=1, most_seconds=60, refused_seconds=60, chance=lambda: chance)


def test_waits_double_up_to_the_most() -> None:
    tried = backoff()
    waits = [tried.delay_seconds(SourceState.FAULTED) for _ in range(9)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    tried.reset()
    assert tried.delay_seconds(SourceState.FAULTED) == pytest.approx(1)


def test_waits_are_spread_and_never_beyond_the_most() -> None:
    assert backoff(0.0).delay_seconds(SourceState.FAULTED) == pytest.approx(0.9)
    assert backoff(1.0).delay_seconds(SourceState.FAULTED) == pytest.approx(1.1)
    tried = backoff(1.0)
    assert max(tried.delay_seconds(SourceState.FAULTED) for _ in range(5000)) == 60


@pytest.mark.parametrize("state", [SourceState.UNAUTHORIZED, SourceState.NOT_FOUND])
def test_who_was_refused_does_not_ask_again_within_a_minute(state: SourceState) -> None:
    assert backoff().delay_seconds(state) == 60


def test_a_worker_is_replaced_at_once_unless_it_does_nothing_but_end() -> None:
    policy = RestartPolicy(limit=5, window_seconds=60, pause_seconds=30)
    assert [policy.delay_seconds(now) for now in (0, 10, 20, 30, 40)] == [0, 0, 0, 0, 30]
    assert policy.delay_seconds(200) == 0
    assert [policy.delay_seconds(now) for now in range(1000, 2000, 100)] == [0] * 10


def test_epochs_grow_and_outlive_the_process(tmp_path: Path) -> None:
    assert [EpochStore(tmp_path).issue("door") for _ in range(3)] == [1, 2, 3]
    assert EpochStore(tmp_path).issue("yard") == 1
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == [".lock", "door.epoch", "yard.epoch"]


def test_a_full_disk_does_not_keep_a_source_from_its_next_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EpochStore(tmp_path)
    assert store.issue("door") == 1

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full)
        assert [store.issue("door") for _ in range(2)] == [2, 3]
        with pytest.raises(ConfigError, match="No space left"):
            store.issue("yard")  # which has no file yet whose room could be used
    assert EpochStore(tmp_path).issue("door") == 4
    assert store.issue("yard") == 1


@pytest.mark.parametrize(
    "content", [b"what", b"", b"-1\n", b"1_0\n", b"\xff\xfe", b"9223372036854775807\n", b"9" * 5000]
)
def test_a_broken_epoch_file_is_not_guessed_at(tmp_path: Path, content: bytes) -> None:
    store = EpochStore(tmp_path)
    (tmp_path / "epochs" / "door.epoch").write_bytes(content)
    with pytest.raises(ConfigError, match="not an epoch"):
        store.issue("door")


def test_a_state_directory_that_cannot_be_made_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"supervisor\.state_directory"):
        EpochStore(tmp_path / "file" / "state")


def test_state_is_kept_where_the_desktop_rules_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "everyframe"


def test_a_recording_is_played_at_its_own_pace() -> None:
    clock = ManualClock(now_ns=5_000_000_000)
    pacer = Pacer(clock)
    arrivals = []
    for number in range(4):
        pacer.wait(frame(number + 100))
        arrivals.append(clock.monotonic_ns())
        clock.sleep(0.01)  # decoding takes time, which is not added
    assert np.diff(arrivals) / 1e9 == pytest.approx([1 / 30] * 3, abs=1e-6)


def test_pacing_starts_again_after_a_jump_or_when_far_behind() -> None:
    clock = ManualClock()
    pacer = Pacer(clock)
    assert pacer.delay_seconds(frame(0)) == 0
    assert pacer.delay_seconds(frame(3000)) == pytest.approx(100)
    assert pacer.delay_seconds(frame(9000, jump=True)) == 0
    assert pacer.delay_seconds(frame(0, epoch=2)) == 0
    clock.sleep(5)
    assert pacer.delay_seconds(frame(1, epoch=2)) == 0
    assert pacer.delay_seconds(frame(31, epoch=2)) == pytest.approx(1)
    assert pacer.delay_seconds(frame(None)) == 0


def test_percentiles_are_within_a_bucket_of_the_exact_ones() -> None:
    chance = random.Random(3)
    latencies = [chance.lognormvariate(3.5, 0.8) for _ in range(20_000)]
    buckets = [0] * BUCKETS
    for latency_ms in latencies:
        record(buckets, latency_ms)
    latencies.sort()
    for share in (0.5, 0.95, 0.99):
        assert percentile_ms(buckets, share) == pytest.approx(latencies[int(share * len(latencies))], rel=0.06)


def test_latencies_at_the_ends_and_none_at_all() -> None:
    assert (bucket_of(0.0), bucket_of(1e9)) == (0, BUCKETS - 1)
    assert latency_of([0] * BUCKETS) is None
    assert percentile_ms([0] * BUCKETS, 0.5) == 0


def test_frames_go_by_the_readers_numbers_until_an_epoch_is_renewed() -> None:
    epochs = iter((5, 9))
    labels = Labels(lambda: next(epochs))
    given = [labels.of(frame(0, epoch=3, seq=seq)) for seq in range(2)]
    labels.renew()
    given += [labels.of(frame(0, epoch=3, seq=seq)) for seq in (2, 3)]
    given += [labels.of(frame(0, epoch=7, seq=seq)) for seq in range(2)]
    labels.renew()
    given += [labels.of(frame(0, epoch=7, seq=2))]
    assert given == [(3, 0), (3, 1), (5, 0), (5, 1), (7, 0), (7, 1), (9, 0)]


def test_a_step_may_take_long_once_then_as_long_as_others_suggest() -> None:
    pace = Pace(usual_seconds=3, first_seconds=120)
    assert pace.allowed_seconds == 120
    pace.took(50)
    assert pace.allowed_seconds == 3
    pace.took(2)
    assert pace.allowed_seconds == 8


def test_the_frame_rate_is_measured() -> None:
    rate = Rate()
    assert [rate.seen(10**9), rate.seen(10**9 + 40_000_000)] == [0.0, pytest.approx(25)]
    for n in range(3, 400):
        seen = rate.seen(10**9 + n * 20_000_000)
    assert seen == pytest.approx(50, rel=0.01)
