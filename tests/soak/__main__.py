"""`python -m tests.soak --minutes N [--seed S] [--cameras N] [--rate FPS] [--output DIR]`.

Cameras on the scripted server run into real workers, and a fault a minute, drawn by the seed, is done to them. It
passes (exit code 0) if the ledger balanced at every look, every frame came out once as a result or in a gap, every
camera gave results again after every fault, latency stayed bounded, and memory and descriptors did not grow. It writes
`soak.json` and `soak.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.soak.faults import FAULTS, Event, schedule
from tests.soak.judge import Check, check_growth, check_latency, whole
from tests.soak.plot import Panel, draw
from tests.soak.rig import Rig, rig_of
from tests.soak.watch import Reader, Watch

POLL_SECONDS = 0.25
SAMPLE_SECONDS = 2.0
TELL_SECONDS = 10.0
START_SECONDS = 120.0
LEAST_OF_A_MINUTE = 20.0  # seconds: the last one counts from here
SETTLE_SECONDS = 60.0  # after a fault is over, every camera gives results again


class Soak:
    """One run."""

    def __init__(self, rig: Rig, *, seconds: float, events: Sequence[Event]) -> None:
        self.rig, self.seconds = rig, seconds
        self.events = list(events)
        self.reader, self.watch = Reader(rig.engine), Watch(rig.engine)
        self.settled: list[float] = []  # seconds from the end of a fault until all cameras gave results
        self.unsettled: list[str] = []
        self._started = 0.0
        self._due = {"sample": 0.0, "tell": 0.0, "minute": 60.0}
        self._doing = ""

    def run(self) -> None:
        """All of it."""
        self.reader.start()
        self._started = time.monotonic()
        self._wait_for_results(START_SECONDS, "the start")
        self._started = time.monotonic()
        for event in self.events:
            self._rest(event.at_seconds)
            self._do(event)
        self._rest(self.seconds)
        if self.now + 60.0 - self._due["minute"] > LEAST_OF_A_MINUTE:
            self.watch.end_minute(self.now)
        self.rig.engine.stop()
        self.reader.join(60)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    def _do(self, event: Event) -> None:
        self._doing = f"{event.name} ({self.rig.cameras[event.camera].name})"
        with FAULTS[event.name](self.rig, event.camera):
            self._rest(self.now + event.lasts_seconds)
        self._doing = ""
        self._wait_for_results(SETTLE_SECONDS, event.name)

    def _wait_for_results(self, seconds: float, after: str) -> None:
        since = time.monotonic()
        names = [camera.name for camera in self.rig.cameras]
        while time.monotonic() - since < seconds:
            accounts = self.reader.accounts
            if all(name in accounts and accounts[name].last_result_at > since for name in names):
                self.settled.append(time.monotonic() - since)
                return
            self._look()
        self.unsettled.append(f"{after}: not all cameras gave results within {seconds:.0f} s")

    def _rest(self, until_seconds: float) -> None:
        while self.now < until_seconds:
            self._look()

    def _look(self) -> None:
        self.watch.poll(self.now)
        if self._is_due("sample", SAMPLE_SECONDS):
            self.watch.sample(self.now)
        if self._is_due("minute", 60.0):
            self.watch.end_minute(self.now)
        if self._is_due("tell", TELL_SECONDS):
            print(self._progress(), flush=True)
        time.sleep(POLL_SECONDS)

    def _is_due(self, what: str, every_seconds: float) -> bool:
        if self.now < self._due[what]:
            return False
        self._due[what] = self.now + every_seconds
        return True

    def _progress(self) -> str:
        sample = self.watch.samples[-1]
        results = sum(account.results for account in self.reader.accounts.values())
        lost = sum(account.lost for account in self.reader.accounts.values())
        p95 = f"p95 {self.watch.minutes[-1].p95_ms:.0f} ms" if self.watch.minutes else "p95 -"
        return (
            f"{self.now / 60:6.1f} of {self.seconds / 60:.0f} min  {results:8d} results {lost:6d} lost"
            f"  {sample.memory_mb:5.0f} MB {sample.descriptors:4d} descriptors  {p95}  {self._doing}"
        )

    def checks(self, *, latency_ms: float) -> list[Check]:
        """The verdicts."""
        watch, reader = self.watch, self.reader
        statistics = self.rig.engine.statistics()
        captured = {source.source_id: source.captured for source in statistics.sources}
        read = {name: account.results + account.lost for name, account in reader.accounts.items()}
        wrong = [*reader.wrong, *([repr(reader.failure)] if reader.failure else [])]
        return [
            Check(
                "ledger",
                "balances at every look",
                f"{watch.polls} looks, {len(watch.unbalanced)} violations",
                not watch.unbalanced and not statistics.ledger_violations,
            ),
            Check(
                "frames",
                "each comes out once, as a result or in a gap, in order",
                f"{sum(captured.values())} captured, {sum(read.values())} read, {len(wrong)} out of order",
                captured == read and not wrong,
            ),
            Check(
                "recovery",
                f"every camera gives results within {SETTLE_SECONDS:.0f} s of the end of a fault",
                f"{len(self.events)} faults, slowest {max(self.settled, default=0.0):.1f} s",
                not self.unsettled,
            ),
            check_latency(watch.minutes, most_ms=latency_ms),
            *check_growth(whole(watch.samples, 2 + len(self.rig.cameras)), run_seconds=self.seconds),
        ]


def report(soak: Soak, checks: Sequence[Check], *, given: argparse.Namespace, directory: Path) -> None:
    """Write `soak.json` and `soak.png`."""
    directory.mkdir(parents=True, exist_ok=True)
    watch = soak.watch
    told = {
        "passed": all(check.passed for check in checks),
        "minutes": given.minutes,
        "seed": given.seed,
        "cameras": given.cameras,
        "rate": given.rate,
        "checks": [asdict(check) for check in checks],
        "faults": [asdict(event) for event in soak.events],
        "settled_seconds": soak.settled,
        "wrong": [*soak.unsettled, *soak.reader.wrong[:20], *watch.unbalanced[:20]],
        "complaints": list(soak.rig.engine.complaints),
        "latency": [asdict(minute) for minute in watch.minutes],
        "processes": [asdict(sample) for sample in watch.samples],
    }
    (directory / "soak.json").write_text(json.dumps(told, indent=1) + "\n")
    panels = [
        Panel("memory of all processes, MB, without pages of files", [(s.seconds, s.memory_mb) for s in watch.samples]),
        Panel("descriptors of all processes", [(s.seconds, s.descriptors) for s in watch.samples]),
        Panel("latency, p95 of each minute, ms", [(m.seconds, m.p95_ms) for m in watch.minutes]),
        Panel("results a minute", [(m.seconds, m.results) for m in watch.minutes]),
    ]
    marks = [(event.at_seconds, event.name) for event in soak.events]
    draw(directory / "soak.png", panels, seconds=soak.seconds, faults=marks)


def main() -> int:
    """Run; the exit code tells."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default: 1)")
    parser.add_argument("--cameras", type=int, default=4, help="default: 4")
    parser.add_argument("--rate", type=int, default=15, help="frames a second of each camera (default: 15)")
    parser.add_argument("--fault-seconds", type=float, default=60.0, help="a fault every so often (default: 60)")
    parser.add_argument("--latency-ms", type=float, default=1000.0, help="most p95 of a minute (default: 1000)")
    parser.add_argument("--output", type=Path, default=Path("soak"), help="where the report goes (default: soak)")
    given = parser.parse_args()
    seconds = 60.0 * given.minutes
    events = schedule(seconds=seconds, every_seconds=given.fault_seconds, cameras=given.cameras, seed=given.seed)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rig = stack.enter_context(rig_of(given.cameras, state=state, rate=given.rate))
        soak = Soak(rig, seconds=seconds, events=events)
        soak.run()
        checks = soak.checks(latency_ms=given.latency_ms)
        report(soak, checks, given=given, directory=given.output)
    for check in checks:
        print(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.seen}; {check.threshold}")
    for line in [*soak.unsettled, *soak.reader.wrong[:5], *soak.watch.unbalanced[:5]]:
        print(f"        {line}")
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
