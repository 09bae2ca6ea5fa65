"""What a run answers, read back by the reader that Prometheus's own library has."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.api.exchange import Request
from pipeline.api.metrics import sink_metrics
from pipeline.api.routes import answer
from pipeline.api.source_metrics import cumulative
from pipeline.latency import BUCKETS, percentile_ms, record
from pipeline.ledger import REASONS
from pipeline.states import SourceState
from pipeline.vitals import SourceVitals, WorkerVitals
from pipeline.workers.messages import SinkCounts
from tests.pipeline.cli.fakes import FakeEngine, statistics, status, vitals

LATENCIES_MS = (0.05, 2.0, 3.0, 12.0, 12.5, 240.0, 260.0, 9_000.0)


def counts(latencies_ms: tuple[float, ...]) -> tuple[int, ...]:
    buckets = [0] * BUCKETS
    for latency_ms in latencies_ms:
        record(buckets, latency_ms)
    return tuple(buckets)


def run(**vital: Any) -> FakeEngine:
    engine = FakeEngine(
        statistics(
            status(
                "door",
                captured=110,
                dropped={"late": 4, "backlog": 2},
                in_flight=3,
                undecoded=5,
                damaged=8,
                reconnects=2,
                ledger_violations=7,
            ),
            status("yard", state="FAULTED", message="yard: nobody answers", retry_in_seconds=3.5, latency=None),
        )
    )
    engine.source_vital = (
        SourceVitals("door", 0.25, counts(LATENCIES_MS), sum(LATENCIES_MS) / 1000),
        SourceVitals("yard", None, counts(()), 0.0),
    )
    engine.sink_counts = SinkCounts(taken={"jsonl": {"door": 104}}, failed={"jsonl": {"door": 2}}, refused=6)
    engine.vital = vitals(**vital)
    return engine


def asked(engine: FakeEngine, path: str) -> tuple[int, Any]:
    response = answer(engine, Request("GET", path, {}))
    return response.status.value, json.loads(response.body) if path != "/metrics" else response.body.decode()


def figures(engine: FakeEngine) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(asked(engine, "/metrics")[1])
        for sample in family.samples
    }


def figure(engine: FakeEngine, name: str, **labels: str) -> float:
    return figures(engine)[f"everyframe_{name}", tuple(sorted(labels.items()))]


def test_a_run_is_alive_while_its_supervisor_goes_round_whatever_its_workers_do() -> None:
    assert asked(run(), "/healthz") == (200, {"ok": True, "reasons": []})
    assert asked(run(workers=(WorkerVitals(role="vision"),)), "/healthz")[0] == 200
    assert asked(run(stopping=True), "/healthz")[0] == 200
    assert asked(run(judged_seconds_ago=12.0), "/healthz") == (
        503,
        {"ok": False, "reasons": ["the supervisor has not judged its workers for 12 s"]},
    )
    assert asked(run(supervising=False), "/healthz")[0] == 503


def test_a_run_is_ready_while_results_can_leave_whatever_its_cameras_do() -> None:
    code, said = asked(run(), "/readyz")
    assert (code, said["ok"]) == (200, True)
    assert said["sources"] == {
        "door": {"state": "STREAMING", "message": "", "retry_in_seconds": None},
        "yard": {"state": "FAULTED", "message": "yard: nobody answers", "retry_in_seconds": 3.5},
    }


@pytest.mark.parametrize(
    ("vital", "reason"),
    [
        ({"workers": (WorkerVitals(role="vision", pid=1, phase="loading"),)}, "the vision worker is loading"),
        ({"workers": (WorkerVitals(role="publisher"),)}, "the publisher is not running"),
        ({"stopping": True}, "the run is stopping"),
        ({"supervising": False}, "the supervisor has ended"),
    ],
)
def test_a_run_that_is_not_ready_says_why(vital: dict[str, Any], reason: str) -> None:
    code, said = asked(run(**vital), "/readyz")
    assert (code, said["reasons"]) == (503, [reason])
    assert set(said["sources"]) == {"door", "yard"}


def test_an_unknown_path_is_told_the_known_ones() -> None:
    response = answer(run(), Request("GET", "/debug/pprof", {}))
    assert response.status.value == 404
    assert b"/healthz, /readyz, /metrics" in response.body


def test_every_figure_is_explained_typed_and_in_the_format_that_is_named() -> None:
    response = answer(run(), Request("GET", "/metrics", {}))
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(response.body.decode()))
    assert all(family.documentation.endswith(".") for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    assert all(family.name.startswith("everyframe_") for family in families)
    for family in families:
        assert (family.type == "counter") == any(sample.name.endswith("_total") for sample in family.samples)


def test_frames_by_fate() -> None:
    engine = run()
    assert figure(engine, "frames_captured_total", source="door") == 110
    assert figure(engine, "frames_resulted_total", source="door") == 100
    assert figure(engine, "frames_in_flight", source="door") == 3
    assert figure(engine, "packets_undecoded_total", source="door") == 5
    assert figure(engine, "frames_damaged_total", source="door") == 8
    assert figure(engine, "ledger_balance_frames", source="door") == 1
    assert figure(engine, "ledger_violations_total", source="door") == 7
    dropped = {reason: figure(engine, "frames_dropped_total", source="door", reason=reason) for reason in REASONS}
    assert dropped == dict.fromkeys(REASONS, 0) | {"late": 4, "backlog": 2}


def test_a_source_is_in_one_state() -> None:
    engine = run()
    in_state = {s for s in SourceState if figure(engine, "source_state", source="yard", state=s) == 1}
    assert in_state == {SourceState.FAULTED}
    assert figure(engine, "reconnects_total", source="door") == 2
    assert figure(engine, "source_epoch", source="door") == 1
    assert figure(engine, "source_frame_rate", source="door") == 25.0
    assert figure(engine, "last_frame_age_seconds", source="door") == 0.25
    assert ("everyframe_last_frame_age_seconds", (("source", "yard"),)) not in figures(engine)


def test_the_histogram_counts_what_did_not_exceed_each_bound() -> None:
    found = {
        float(dict(labels)["le"]): value
        for (name, labels), value in figures(run()).items()
        if name == "everyframe_latency_seconds_bucket" and ("source", "door") in labels
    }
    assert list(found) == sorted(found)
    for bound, count in found.items():
        assert count == sum(latency_ms / 1000 <= bound for latency_ms in LATENCIES_MS), bound
    assert found[math.inf] == figure(run(), "latency_seconds_count", source="door") == len(LATENCIES_MS)
    assert figure(run(), "latency_seconds_sum", source="door") == pytest.approx(sum(LATENCIES_MS) / 1000)
    assert figure(run(), "latency_seconds_count", source="yard") == 0


def test_a_percentile_read_off_the_bounds_is_near_the_one_that_is_kept() -> None:
    latencies = counts(tuple(float(ms) for ms in range(1, 1000)))
    bounds = cumulative(latencies)
    above = next(float(bound) for bound, count in bounds if count >= 0.95 * 999)
    assert above / math.sqrt(2) <= percentile_ms(latencies, 0.95) / 1000 <= above


def test_workers_are_told_apart_and_measured_from_outside() -> None:
    import os

    camera = WorkerVitals(role="camera", source_id="door", restarts=3)
    engine = run(workers=(camera, WorkerVitals(role="vision", pid=os.getpid(), ready=True)))
    assert figure(engine, "worker_up", worker="camera", source="door") == 0
    assert figure(engine, "worker_up", worker="vision", source="") == 1
    assert figure(engine, "worker_restarts_total", worker="camera", source="door") == 3
    assert figure(engine, "worker_resident_memory_bytes", worker="supervisor", source="") > 1_000_000
    assert figure(engine, "worker_cpu_seconds_total", worker="supervisor", source="") > 0
    # A process that is no child of ours has taken over the number of one that was.
    assert ("everyframe_worker_resident_memory_bytes", (("source", ""), ("worker", "vision"))) not in figures(engine)


def test_vision_workers_of_several_devices_are_told_apart() -> None:
    vision = [WorkerVitals(role="vision", device=f"cuda:{i}", restarts=i) for i in range(2)]
    engine = run(workers=(*vision, WorkerVitals(role="camera", source_id="door")))
    for i in range(2):
        assert figure(engine, "worker_restarts_total", worker="vision", source="", device=f"cuda:{i}") == i
    assert figure(engine, "worker_up", worker="camera", source="door", device="") == 0
    assert figure(engine, "worker_cpu_seconds_total", worker="supervisor", source="", device="") > 0


def test_a_device_that_was_given_up_hinders_nothing() -> None:
    works = WorkerVitals(role="vision", device="cuda:0", pid=1, ready=True)
    lost = WorkerVitals(role="vision", device="cuda:1")
    assert run(workers=(works, lost)).vitals().hindrances == ("the vision worker of cuda:1 is not running",)
    given_up = WorkerVitals(role="vision", device="cuda:1", given_up=True)
    assert run(workers=(works, given_up)).vitals().hindrances == ()


def test_what_sinks_took_and_failed_to_take() -> None:
    assert figure(run(), "sink_items_total", sink="jsonl", source="door", fate="taken") == 104
    assert figure(run(), "sink_items_total", sink="jsonl", source="door", fate="failed") == 2
    assert figure(run(), "publish_refused_total") == 6


def test_names_that_need_escaping_come_back_as_they_were() -> None:
    from prometheus_client.exposition import generate_latest

    name = 'a "quoted\\ name\nover two lines'

    class Only:
        def collect(self) -> Any:
            yield sink_metrics(SinkCounts(taken={name: {"door": 1}}, failed={}))

    text = generate_latest(Only()).decode()
    assert 'sink="a \\"quoted\\\\ name\\nover two lines"' in text
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels["sink"] == name


def test_a_run_without_sources_or_sinks_has_figures_all_the_same() -> None:
    engine = FakeEngine(statistics(elapsed_seconds=0.0))
    assert figure(engine, "healthy") == 1
    assert figure(engine, "ready") == 1
