"""What a service manager hears on its socket: a fake one listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.notify import Notifier
from pipeline.vitals import WorkerVitals
from tests.pipeline.cli.fakes import statistics, status, vitals

LOADING = vitals(workers=(WorkerVitals(role="vision", pid=1, phase="loading"),))
RUN = statistics(status("door"), status("yard", state="FAULTED"))


class Manager:
    """The manager's end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything said since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(65_536).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"@everyframe-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.close()


def test_ready_is_said_once_and_not_before_it_is_true(address: str, manager: Manager) -> None:
    with Notifier(address) as notifier:
        notifier.tell(LOADING, RUN)
        assert manager.heard() == ["STATUS=the vision worker is loading"]
        notifier.tell(vitals(), RUN)
        assert manager.heard() == ["READY=1", "STATUS=1 of 2 sources streaming"]
        notifier.tell(vitals(), RUN)
        assert manager.heard() == []
        notifier.tell(LOADING, RUN)
        notifier.tell(vitals(), RUN)
        assert "READY=1" not in manager.heard()
        notifier.stopping()
        assert manager.heard() == ["STOPPING=1\nSTATUS=stopping"]


def test_the_watchdog_is_fed_only_while_the_supervisor_goes_round(address: str, manager: Manager) -> None:
    now = [100.0]
    with Notifier(address, watchdog_seconds=30.0, now_seconds=lambda: now[0]) as notifier:

        def fed(after_seconds: float, **vital: object) -> int:
            now[0] += after_seconds
            notifier.tell(vitals(**vital), RUN)
            return manager.heard().count("WATCHDOG=1")

        assert fed(0.2) == 0
        assert fed(10.0) == 1
        assert fed(9.0) == 0
        assert fed(1.0) == 1
        # It hangs: nobody feeds, however often the rest of the process looks.
        assert sum(fed(1.0, judged_seconds_ago=float(second)) for second in range(1, 60)) == 0
        assert fed(0.2, judged_seconds_ago=0.1) == 1
        assert fed(10.0, supervising=False) == 0


def test_the_environment_is_read_and_not_passed_on(address: str, manager: Manager) -> None:
    environment = {
        "NOTIFY_SOCKET": address,
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    with Notifier.from_environment(environment) as notifier:
        notifier.tell(vitals(), RUN)
    assert environment == {"HOME": "/root"}
    assert manager.heard()[0] == "READY=1"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("-5", "", None),
        ("x", "", None),
    ],
)
def test_a_watchdog_is_fed_only_where_one_watches_this_process(usec: str, pid: str, seconds: float | None) -> None:
    environment = {"WATCHDOG_USEC": usec, **({"WATCHDOG_PID": pid} if pid else {})}
    with Notifier.from_environment(environment) as notifier:
        assert notifier._watchdog_seconds == seconds


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens-here"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    with Notifier.from_environment({"NOTIFY_SOCKET": address}) as notifier:
        notifier.tell(vitals(), RUN)
        notifier.stopping()


def test_a_manager_that_does_not_listen_holds_nothing_up(address: str, manager: Manager) -> None:
    with Notifier(address) as notifier:
        for number in range(5_000):
            notifier.tell(vitals(), statistics(*[status(f"s{i}") for i in range(number % 7)]))
    assert len(manager.heard()) < 5_000
