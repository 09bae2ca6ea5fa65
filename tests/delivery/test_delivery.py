"""Two schedules of the proof; `python -m tests.delivery` plays two hundred."""

from __future__ import annotations

from pathlib import Path

from tests.delivery.schedule import play
from tests.redis_server import is_available
from tests.require import skip_without


def test_every_acknowledged_frame_is_applied_or_declared(tmp_path: Path) -> None:
    if not is_available():
        skip_without("redis", lacking="redis-server")
    outcome = play(tmp_path, (1, 2))
    assert outcome.violations == (), outcome
    assert outcome.applied > 0
    assert outcome.acknowledged == outcome.applied + outcome.declared
