"""One step of the benchmark: so many cameras through real workers for a while, and what came of it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline.cli.bench_search import Step
from pipeline.config import DetectorConfig, PipelineConfig, PublishConfig, SourceConfig, SupervisorConfig, check
from pipeline.engines.local import LocalEngine
from pipeline.latency import percentile_ms
from pipeline.messages import SourceStatus

STARTING_SECONDS: Final = 30.0  # for the network, and for each camera more
STARTING_SECONDS_A_CAMERA: Final = 2.0
SETTLING_SECONDS: Final = 2.0  # after the last camera's first result: starting is not running
GLANCE_SECONDS: Final = 0.2
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Instant:
    """The counts of a run at one time; all only grow."""

    at: float
    sources: tuple[SourceStatus, ...]
    latencies: tuple[tuple[int, ...], ...]  # of each source, results by bucket of `pipeline.latency`
    cpu_seconds: float
    sender_cpu_seconds: float


def run_step(
    urls: Sequence[str],
    *,
    model: str,
    seconds: float,
    senders: Iterable[int],
    show: Callable[[str], None] = lambda _: None,
) -> Step:
    """Run a camera for each address for `seconds`; `senders` are the processes that send, whose time counts apart.

    Raises `EveryframeError` where the run cannot be at all.
    """
    with (
        tempfile.TemporaryDirectory(prefix="everyframe-bench-") as folder,
        LocalEngine(settings(urls, model=model, folder=folder)) as engine,
    ):
        engine.start()
        if not _started(engine, len(urls), show):
            working = sum(source.resulted > 0 for source in engine.statistics().sources)
            return failed_step(len(urls), f"{working} of {len(urls)} cameras gave results")
        show("settling")
        engine.wait(SETTLING_SECONDS)
        show("measuring")
        before = _instant(engine, senders)
        engine.wait(seconds)
        step = step_of(before, _instant(engine, senders))
        return replace(step, complaints=engine.complaints)


def settings(urls: Sequence[str], *, model: str, folder: str) -> PipelineConfig:
    """A run of these cameras that publishes nothing and keeps its epochs in `folder`."""
    return check(
        PipelineConfig(
            sources=[SourceConfig(url=url, source_id=f"camera-{i + 1}") for i, url in enumerate(urls)],
            detector=DetectorConfig(model=model),
            publish=PublishConfig(bind=None),
            supervisor=SupervisorConfig(state_directory=folder),
        )
    )


def step_of(before: Instant, after: Instant) -> Step:
    """What happened between two instants of a run."""
    seconds = after.at - before.at
    pairs = list(zip(before.sources, after.sources, strict=True))
    decoded = [(b.captured - a.captured) / seconds for a, b in pairs]
    analysed = [(b.resulted - a.resulted) / seconds for a, b in pairs]
    dropped = sum(sum(b.dropped.values()) - sum(a.dropped.values()) for a, b in pairs)
    captured = sum(b.captured - a.captured for a, b in pairs)
    latencies = [
        [b - a for a, b in zip(*buckets, strict=True)]
        for buckets in zip(before.latencies, after.latencies, strict=True)
    ]
    return Step(
        cameras=len(pairs),
        seconds=seconds,
        decoded_fps=sum(decoded) / len(decoded),
        least_decoded_fps=min(decoded),
        analysed_fps=sum(analysed) / len(analysed),
        least_analysed_fps=min(analysed),
        dropped_share=dropped / captured if captured else 0.0,
        p50_ms=max(percentile_ms(buckets, 0.50) for buckets in latencies),
        p95_ms=max(percentile_ms(buckets, 0.95) for buckets in latencies),
        cores=(after.cpu_seconds - before.cpu_seconds) / seconds,
        sender_cores=(after.sender_cpu_seconds - before.sender_cpu_seconds) / seconds,
    )


def _started(engine: LocalEngine, cameras: int, show: Callable[[str], None]) -> bool:
    """Wait until every camera has given a result; whether they have in time."""
    until = time.monotonic() + STARTING_SECONDS + STARTING_SECONDS_A_CAMERA * cameras
    while time.monotonic() < until:
        working = sum(source.resulted > 0 for source in engine.statistics().sources)
        show(f"starting, {working} of {cameras}")
        if working == cameras:
            return True
        engine.wait(GLANCE_SECONDS)
    return False


def _instant(engine: LocalEngine, senders: Iterable[int]) -> Instant:
    workers = [worker.pid for worker in engine.vitals().workers if worker.pid]
    return Instant(
        at=time.monotonic(),
        sources=engine.statistics().sources,
        latencies=tuple(source.latencies for source in engine.source_vitals()),
        cpu_seconds=time.process_time() + sum(map(cpu_seconds_of, workers)),
        sender_cpu_seconds=sum(map(cpu_seconds_of, senders)),
    )


def cpu_seconds_of(pid: int) -> float:
    """Processor time a process has had, in and for it; 0 for one that has ended (proc(5): fields 14 and 15)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def failed_step(cameras: int, why: str) -> Step:
    """A step in which nothing could be measured."""
    return Step(
        cameras=cameras,
        seconds=0.0,
        decoded_fps=0.0,
        least_decoded_fps=0.0,
        analysed_fps=0.0,
        least_analysed_fps=0.0,
        dropped_share=0.0,
        p50_ms=0.0,
        p95_ms=0.0,
        cores=0.0,
        sender_cores=0.0,
        failure=why,
    )
