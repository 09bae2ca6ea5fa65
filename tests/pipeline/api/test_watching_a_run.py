"""A run with real processes and made-up frames, watched over HTTP and by a service manager's fake."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline import vitals
from pipeline.api.routes import server_for
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.notify import Notifier
from tests.pipeline.api.client import get
from tests.pipeline.engines import PATIENCE_SECONDS, wait_for


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    settings = {
        "publish": {"bind": None},
        "supervisor": {"state_directory": str(tmp_path / "state")},
        "sources": ["door=rtsp://viewer:hunter2hunter2@fake?fps=50", "yard=rtsp://fake?refused=1"],
        "detector": "model?delay_ms=1",
    }
    with LocalEngine(check(parse(settings)), builder="tests.pipeline.fake_build") as engine:
        engine.start()
        yield engine


@pytest.fixture
def address(engine: LocalEngine) -> Iterator[str]:
    with server_for("127.0.0.1:0", None, engine) as server:
        yield server.address


def readyz(address: str) -> tuple[int, Any]:
    code, _, body = get(address, "/readyz")
    return code, json.loads(body)


def figure(address: str, name: str, **labels: str) -> float:
    text = get(address, "/metrics")[2].decode()
    (value,) = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"everyframe_{name}" and sample.labels == labels
    ]
    return value


def pid(engine: LocalEngine, role: str) -> int:
    return next(worker.pid for worker in engine.vitals().workers if worker.role == role)


def test_a_run_that_loses_its_vision_worker_is_alive_not_ready_and_ready_again(
    engine: LocalEngine, address: str
) -> None:
    wait_for(lambda: readyz(address)[0] == 200, "ready")
    wait_for(lambda: readyz(address)[1]["sources"]["door"]["state"] == "STREAMING", "streaming")
    wait_for(lambda: readyz(address)[1]["sources"]["yard"]["state"] == "UNAUTHORIZED", "refused")
    wait_for(lambda: figure(address, "frames_resulted_total", source="door") > 10, "results")
    os.kill(pid(engine, "vision"), signal.SIGKILL)
    wait_for(lambda: readyz(address)[0] == 503, "not ready")
    assert get(address, "/healthz")[0] == 200
    wait_for(lambda: readyz(address)[0] == 200, "ready again")
    assert figure(address, "worker_restarts_total", worker="vision", source="") == 1
    assert figure(address, "worker_resident_memory_bytes", worker="publisher", source="") > 1_000_000
    before = figure(address, "frames_resulted_total", source="door")
    wait_for(lambda: figure(address, "frames_resulted_total", source="door") > before, "results again")
    assert figure(address, "latency_seconds_count", source="door") > 0
    assert figure(address, "ledger_balance_frames", source="door") == 0
    assert b"hunter2" not in b"".join(get(address, path)[2] for path in ("/healthz", "/readyz", "/metrics"))


def test_suspended_workers_keep_no_answer_back(engine: LocalEngine, address: str) -> None:
    wait_for(lambda: readyz(address)[0] == 200, "ready")
    for worker in engine.vitals().workers:
        if worker.up:
            os.kill(worker.pid, signal.SIGSTOP)
    assert get(address, "/metrics")[0] == 200
    assert get(address, "/healthz")[0] == 200


def test_a_supervisor_that_hangs_is_reported_and_feeds_no_watchdog(
    engine: LocalEngine, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wait_for(lambda: readyz(address)[0] == 200, "ready")
    monkeypatch.setattr(vitals, "JUDGEMENT_SECONDS", 2.0)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(PATIENCE_SECONDS)

    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(PATIENCE_SECONDS)
    with manager, Notifier(str(tmp_path / "notify"), watchdog_seconds=0.3) as notifier:

        def heard(looks: int) -> bool:
            """Whether the watchdog is fed while the main loop looks so often."""
            manager.setblocking(False)
            said = []
            for _ in range(looks):
                notifier.tell(engine.vitals(), engine.statistics())
                with suppress(BlockingIOError):
                    while True:  # a look may say two things: one left lying would be heard as said later
                        said.append(manager.recv(65_536))
                time.sleep(0.02)
            return b"WATCHDOG=1" in said

        wait_for(lambda: heard(10), "fed")
        monkeypatch.setattr(engine._supervisor, "_judge", hang)
        try:
            assert hangs.wait(PATIENCE_SECONDS)
            heard(50)  # what was judged just before may feed it once more
            assert not heard(50)
            wait_for(lambda: get(address, "/healthz")[0] == 503, "reported")
            assert readyz(address)[0] == 503
        finally:
            monkeypatch.undo()
            goes_on.set()
        wait_for(lambda: get(address, "/healthz")[0] == 200, "well again")
        wait_for(lambda: heard(10), "fed again")
