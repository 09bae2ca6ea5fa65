"""The contract of the named faults: each test says which fault, what is promised, and what it saw.

::

    @pytest.mark.fault("media stops, TCP and RTCP go on", promise="STALLED within the read timeout")
    def test_media_stops(seen: Callable[[str], None]) -> None:
        ...
        seen("STALLED 1.02 s after the last picture")

Every test in this folder is one row of the table that stands at the end of the run; `--faults-json FILE` writes it
too. A test that does not name its fault, or says nothing of what it saw, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.table import Row, as_json, as_text

if TYPE_CHECKING:
    from tests.faults.watching import Watched

_SEEN = pytest.StashKey[list[str]]()
_ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was seen: a figure with its unit, a state, an error. May be called several times."""
    return request.node.stash.setdefault(_SEEN, []).append


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Start engines, `watched(*sources, **settings of the supervisor)`; all are closed with the test."""
    from tests.faults.watching import Watched

    started: list[Watched] = []

    def start(*sources: Any, **settings: Any) -> Watched:
        started.append(Watched(*sources, folder=tmp_path / f"state-{len(started)}", **settings))
        return started[-1]

    yield start
    for one in started:
        one.engine.close()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    outcome = yield
    if _marker(pyfuncitem) is None:
        pytest.fail("a test in tests/faults names its fault: @pytest.mark.fault(case, promise=...)", pytrace=False)
    if not pyfuncitem.stash.get(_SEEN, []):
        pytest.fail("a test of a fault says what it saw: seen(...)", pytrace=False)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    marker = _marker(item)
    if marker is not None and (report.when == "call" or report.outcome != "passed"):
        saw = [*item.stash.get(_SEEN, []), *([] if report.passed else [_why(report)])]
        row = Row(marker.args[0], marker.kwargs["promise"], "; ".join(saw), report.outcome, item.nodeid)
        item.config.stash[_ROWS].append(row)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(as_text(rows, width=terminalreporter._tw.fullwidth))
    path = config.getoption("--faults-json", default=None)
    if path is not None:
        Path(path).write_text(as_json(rows), encoding="utf-8")


def _marker(item: pytest.Item) -> pytest.Mark | None:
    return item.get_closest_marker("fault")


def _why(report: pytest.TestReport) -> str:
    """The first line of what went wrong, or of why a test was skipped."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else report.longreprtext).strip().partition("\n")[0]
