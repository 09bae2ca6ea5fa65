"""The figures of each source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pipeline.latency import BUCKETS, PER_OCTAVE, upper_bound_ms
from pipeline.ledger import REASONS
from pipeline.messages import SourceStatus
from pipeline.states import SourceState
from pipeline.vitals import SourceVitals

# Half octaves from 1.6 ms to 4.6 s, of the eighths that are counted: 24 bounds a source are enough for an alarm.
SHOWN_BUCKETS: Final = range(4 * PER_OCTAVE, BUCKETS - 1, PER_OCTAVE // 2)

Read = Callable[[SourceStatus], float]
COUNTERS: Final[dict[str, tuple[str, Read]]] = {
    "everyframe_frames_captured_total": ("Frames decoded.", lambda source: source.captured),
    "everyframe_frames_resulted_total": ("Frames that have a result.", lambda source: source.resulted),
    "everyframe_packets_undecoded_total": ("Packets that gave no frame.", lambda source: source.undecoded),
    "everyframe_frames_damaged_total": (
        "Captured frames that the decoder had to guess parts of.",
        lambda source: source.damaged,
    ),
    "everyframe_reconnects_total": ("Connections made again.", lambda source: source.reconnects),
    "everyframe_ledger_violations_total": (
        "Times the running check found frames unaccounted for: anything but 0 is a fault of everyframe.",
        lambda source: source.ledger_violations,
    ),
}
GAUGES: Final[dict[str, tuple[str, Read]]] = {
    "everyframe_frames_in_flight": ("Frames on their way, counted in the queues.", lambda source: source.in_flight),
    "everyframe_ledger_balance_frames": (
        "captured - resulted - dropped - in flight: anything but 0 is a fault of everyframe.",
        lambda source: source.balance,
    ),
    "everyframe_source_epoch": ("The epoch the source is in.", lambda source: source.epoch),
    "everyframe_source_frame_rate": ("Frames a second, measured; 0 while none come.", lambda source: source.frame_rate),
    "everyframe_source_width_pixels": ("Width of its pictures.", lambda source: source.width),
    "everyframe_source_height_pixels": ("Height of its pictures.", lambda source: source.height),
}


def source_metrics(statuses: Sequence[SourceStatus], vitals: Iterable[SourceVitals]) -> Iterator[Metric]:
    """All of them, a family at a time."""
    yield states(statuses)
    for name, (meaning, read) in COUNTERS.items():
        yield _filled(CounterMetricFamily(name, meaning, labels=["source"]), statuses, read)
    yield drops(statuses)
    for name, (meaning, read) in GAUGES.items():
        yield _filled(GaugeMetricFamily(name, meaning, labels=["source"]), statuses, read)
    known = list(vitals)
    yield last_frames(known)
    yield latencies(known)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, statuses: Iterable[SourceStatus], read: Read) -> Metric:
    for status in statuses:
        family.add_metric([status.source_id], read(status))
    return family


def states(statuses: Iterable[SourceStatus]) -> Metric:
    """A series for each state, 1 for the one the source is in."""
    family = GaugeMetricFamily(
        "everyframe_source_state", "1 for the state the source is in, 0 for all others.", labels=["source", "state"]
    )
    for status in statuses:
        for state in SourceState:
            family.add_metric([status.source_id, state], status.state == state)
    return family


def drops(statuses: Iterable[SourceStatus]) -> Metric:
    """A series for each reason, also those that have not occurred: a rate needs a zero to grow from."""
    family = CounterMetricFamily(
        "everyframe_frames_dropped_total", "Frames inside a gap, by reason.", labels=["source", "reason"]
    )
    for status in statuses:
        for reason in REASONS:
            family.add_metric([status.source_id, reason], status.dropped.get(reason, 0))
    return family


def last_frames(vitals: Iterable[SourceVitals]) -> Metric:
    """How long ago each source gave a frame; none for those that never did."""
    family = GaugeMetricFamily(
        "everyframe_last_frame_age_seconds", "Since the last frame was decoded.", labels=["source"]
    )
    for source in vitals:
        if source.last_frame_age_seconds is not None:
            family.add_metric([source.source_id], source.last_frame_age_seconds)
    return family


def latencies(vitals: Iterable[SourceVitals]) -> Metric:
    """How late results are."""
    family = HistogramMetricFamily(
        "everyframe_latency_seconds",
        "From arrival to the result handed to the socket.",
        labels=["source"],
    )
    for source in vitals:
        family.add_metric([source.source_id], cumulative(source.latencies), source.latency_total_seconds)
    return family


def cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    """(upper bound in seconds, how many did not exceed it), the last bound infinite."""
    up_to = list(accumulate(counts))
    bounds: list[tuple[str, float]] = [
        (f"{upper_bound_ms(bucket) / 1000:.6g}", up_to[bucket]) for bucket in SHOWN_BUCKETS
    ]
    return [*bounds, ("+Inf", up_to[-1])]
