"""`/metrics`: figures in the text format 0.0.4 of Prometheus, which `prometheus_client` writes.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from pipeline.api.exchange import Response
from pipeline.api.source_metrics import source_metrics
from pipeline.api.watched import Watched
from pipeline.usage import usage_of
from pipeline.vitals import Vitals, WorkerVitals
from pipeline.workers.messages import SinkCounts


def metrics(run: Watched) -> Response:
    """All figures of a run at this instant."""
    return Response(HTTPStatus.OK, generate_latest(Collector(run)), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Collector:
    """What `generate_latest` asks for the figures; the process's own registry, and so its other figures, stay out."""

    def __init__(self, run: Watched) -> None:
        self._run = run

    def collect(self) -> Iterator[Metric]:
        """Every figure, with what it means."""
        statistics = self._run.statistics()
        yield _gauge("everyframe_build_info", "The version that runs.", {"version": version("everyframe")}, 1)
        yield _gauge(
            "everyframe_elapsed_seconds", "Since the first frame was asked for.", {}, statistics.elapsed_seconds
        )
        yield from run_metrics(self._run.vitals())
        yield from source_metrics(statistics.sources, self._run.source_vitals())
        yield sink_metrics(self._run.sink_counts)
        yield from deferred_metrics(self._run.sink_counts)
        yield refused_metric(self._run.sink_counts)


def _gauge(name: str, meaning: str, labels: dict[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def run_metrics(vitals: Vitals) -> Iterator[Metric]:
    """The supervisor and its workers."""
    yield _gauge("everyframe_healthy", "1 while the supervisor goes round.", {}, not vitals.ailments)
    yield _gauge("everyframe_ready", "1 while results can leave.", {}, not vitals.hindrances)
    yield _gauge(
        "everyframe_supervisor_judgement_age_seconds",
        "Since the supervisor last judged its workers.",
        {},
        vitals.judged_seconds_ago,
    )
    yield from worker_metrics(vitals.workers)


def worker_metrics(workers: Iterable[WorkerVitals]) -> Iterator[Metric]:
    """Each seat's worker, and the supervisor's own process; what a worker uses is read from the kernel, not asked."""
    workers = list(workers)
    several = any(worker.device for worker in workers)
    labels = ["worker", "source", *(["device"] if several else [])]
    up = GaugeMetricFamily("everyframe_worker_up", "1 where the worker's process is there.", labels=labels)
    restarts = CounterMetricFamily(
        "everyframe_worker_restarts_total", "How often the worker was replaced.", labels=labels
    )
    memory = GaugeMetricFamily("everyframe_worker_resident_memory_bytes", "Memory it has in RAM.", labels=labels)
    cpu = CounterMetricFamily("everyframe_worker_cpu_seconds_total", "Processor time it has used.", labels=labels)
    processes: list[tuple[list[str], int, int | None]] = [(["supervisor", "", *[""] * several], os.getpid(), None)]
    for worker in workers:
        told = [worker.role, worker.source_id, *([worker.device] if several else [])]
        up.add_metric(told, worker.up)
        restarts.add_metric(told, worker.restarts)
        processes += [(told, worker.pid, os.getpid())] if worker.up else []
    for told, pid, parent in processes:
        if (usage := usage_of(pid, parent=parent)) is not None:
            memory.add_metric(told, usage.resident_bytes)
            cpu.add_metric(told, usage.cpu_seconds)
    yield from (up, restarts, memory, cpu)


def sink_metrics(counts: SinkCounts) -> Metric:
    """What files and other sinks took."""
    family = CounterMetricFamily(
        "everyframe_sink_items_total",
        "Results and gaps a sink took or failed to take.",
        labels=["sink", "source", "fate"],
    )
    for fate, by_sink in (("taken", counts.taken), ("failed", counts.failed)):
        for sink, by_source in by_sink.items():
            for source_id, count in by_source.items():
                family.add_metric([sink, source_id, fate], count)
    return family


def refused_metric(counts: SinkCounts) -> Metric:
    """Who knocked at the publishing socket in vain."""
    family = CounterMetricFamily(
        "everyframe_publish_refused_total", "Connections to the publishing socket that were not let in."
    )
    family.add_metric([], counts.refused)
    return family


def deferred_metrics(counts: SinkCounts) -> Iterator[Metric]:
    """How far sinks are that deliver in their own time, as Redis does."""
    reachable = GaugeMetricFamily("everyframe_sink_reachable", "1 where the sink takes results now.", labels=["sink"])
    waiting = GaugeMetricFamily(
        "everyframe_sink_waiting_items",
        "Results and gaps that wait, in memory and on disk.",
        labels=["sink"],
    )
    spooled = GaugeMetricFamily("everyframe_sink_spooled_bytes", "Of them on disk.", labels=["sink"])
    delivered = CounterMetricFamily(
        "everyframe_sink_delivered_items_total",
        "Results and gaps known to have arrived at the sink.",
        labels=["sink", "source"],
    )
    for sink, deferred in counts.deferred.items():
        reachable.add_metric([sink], deferred.reachable)
        waiting.add_metric([sink], deferred.waiting)
        spooled.add_metric([sink], deferred.waiting_bytes)
        for source_id, count in deferred.delivered.items():
            delivered.add_metric([sink, source_id], count)
    if counts.deferred:
        yield from (reachable, waiting, spooled, delivered)
