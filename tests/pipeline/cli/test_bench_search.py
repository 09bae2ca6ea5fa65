"""How many cameras are tried, what counts as passed, and how it is said; nothing is run."""

import dataclasses
from contextlib import nullcontext

import pytest

from pipeline.cli import bench_cameras
from pipeline.cli.bench_cameras import Capacity, Sender, Wanted, capacity_of, urls_of
from pipeline.cli.bench_search import Limits, Search, Step
from pipeline.cli.bench_step import Instant, cpu_seconds_of, step_of
from pipeline.cli.bench_table import processor, step_words, table, verdict
from pipeline.errors import LinkError
from pipeline.latency import BUCKETS, bucket_of, middle_ms
from tests.pipeline.cli.fakes import status

WELL = Step(
    cameras=4,
    seconds=10.0,
    decoded_fps=25.0,
    least_decoded_fps=24.9,
    analysed_fps=25.0,
    least_analysed_fps=24.9,
    dropped_share=0.0,
    p50_ms=5.0,
    p95_ms=20.0,
    cores=0.5,
    sender_cores=0.1,
)
WANTED = Wanted(seconds=10.0, most=64, p95_ms=250.0, analysed_fps=1.0)


def step(**changes):
    return dataclasses.replace(WELL, **changes)


@pytest.mark.parametrize("most", [1, 2, 7, 64, 100])
def test_the_largest_number_that_passes_is_found_for_every_such_number(most):
    for fits in range(most + 5):
        search, tried = Search(most=most), []
        while (number := search.next) is not None:
            tried.append(number)
            search.tried(number, passed=number <= fits)
        assert search.passed == min(fits, most)
        assert len(tried) == len(set(tried)) <= 2 * most.bit_length() + 2
        assert all(1 <= number <= most for number in tried)


def test_it_doubles_then_halves():
    search, tried = Search(most=64), []
    while (number := search.next) is not None:
        tried.append(number)
        search.tried(number, passed=number <= 11)
    assert tried == [1, 2, 4, 8, 16, 12, 10, 11]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"least_decoded_fps": 23.0}, "a camera had 23.0 of 25 frames/s decoded"),
        ({"p95_ms": 251.0}, "p95 latency 251 ms"),
        ({"failure": "1 of 4 cameras gave results"}, "1 of 4 cameras gave results"),
    ],
)
def test_what_a_step_must_keep_to(changes, told):
    for model in ("none", "everyframe-nano"):
        assert WANTED.limits(model).failure(step(**changes)) == told


def test_without_a_model_nothing_need_be_dropped_with_one_the_rate_adapts():
    plain, with_model = WANTED.limits("none"), WANTED.limits("everyframe-nano")
    assert plain.failure(step(dropped_share=0.02)) == "2.0% of the frames dropped"
    assert with_model.failure(step(dropped_share=0.9, least_analysed_fps=1.0)) is None
    assert with_model.failure(step(least_analysed_fps=0.9)) == "a camera had 0.9 frames/s analysed"
    assert plain.failure(step(least_analysed_fps=0.9)) is None


def test_limits_say_what_was_asked():
    assert WANTED.limits("none") == Limits(sent_fps=25.0, p95_ms=250.0, analysed_fps=1.0, lossless=True)
    assert not WANTED.limits("yolox.onnx").lossless


def instant(at, *sources, latencies, cpu=0.0, sender_cpu=0.0):
    return Instant(at, sources, tuple(map(buckets, latencies)), cpu, sender_cpu)


def buckets(latencies):
    counts = [0] * BUCKETS
    for latency_ms, results in latencies:
        counts[bucket_of(latency_ms)] += results
    return tuple(counts)


def test_a_step_is_what_happened_between_two_instants():
    before = instant(
        100.0,
        status("a", captured=50, resulted=40, dropped={"late": 10}),
        status("b", captured=10, resulted=10),
        latencies=[[(3000.0, 40)], [(3000.0, 10)]],  # of starting, which counts for nothing
        cpu=7.0,
        sender_cpu=1.0,
    )
    after = instant(
        110.0,
        status("a", captured=300, resulted=240, dropped={"late": 60}),
        status("b", captured=210, resulted=210),
        latencies=[[(3000.0, 40), (10.0, 195), (100.0, 5)], [(3000.0, 10), (20.0, 100), (100.0, 100)]],
        cpu=17.0,
        sender_cpu=2.5,
    )
    made = step_of(before, after)
    assert (made.cameras, made.seconds, made.cores, made.sender_cores) == (2, 10.0, 1.0, 0.15)
    assert (made.decoded_fps, made.least_decoded_fps) == (22.5, 20.0)
    assert (made.analysed_fps, made.least_analysed_fps) == (20.0, 20.0)
    assert made.dropped_share == pytest.approx(50 / 450)
    assert (made.p50_ms, made.p95_ms) == (middle_ms(bucket_of(20.0)), middle_ms(bucket_of(100.0)))


def runs_that_raise_from(monkeypatch, most_that_run):
    """Steps without machines: up to so many cameras pass, more raise."""

    def run(urls, **_):
        if len(urls) > most_that_run:
            raise LinkError("no room for more")
        return step(cameras=len(urls))

    monkeypatch.setattr(bench_cameras, "run_step", run)
    monkeypatch.setattr(bench_cameras, "sender", lambda: nullcontext(Sender(1, 5001)))


def test_what_the_machine_cannot_even_hold_is_too_much(monkeypatch):
    runs_that_raise_from(monkeypatch, 3)
    told = []
    capacity = capacity_of("none", WANTED, show=lambda what: None, tell=told.append)
    assert (capacity.cameras, [made.cameras for made in told]) == (3, [1, 2, 4, 3])
    assert capacity.limit == told[2]
    assert (told[2].failure, capacity.best) == ("no room for more", told[3])


def test_not_even_one_camera_is_an_error_of_its_own(monkeypatch):
    runs_that_raise_from(monkeypatch, 0)
    with pytest.raises(LinkError):
        capacity_of("none", WANTED, show=lambda what: None, tell=lambda made: None)


def test_cameras_are_spread_over_the_senders():
    urls = urls_of([Sender(1, 5001), Sender(2, 5002)], 3)
    assert urls == [
        "rtsp://127.0.0.1:5001/camera-1",
        "rtsp://127.0.0.1:5002/camera-2",
        "rtsp://127.0.0.1:5001/camera-3",
    ]


def test_the_verdict_names_what_passed_and_what_was_too_much():
    steps = (step(cameras=1), step(cameras=2), step(cameras=4, failure="p95 latency 300 ms"), step(cameras=3))
    told = verdict(Capacity("none", 3, steps, most=64), WANTED)
    assert told == (
        "without a model: 3 cameras of 1280x720 at 25 frames/s, p95 latency 20 ms (at most 250), 0.50 cores; "
        "at 4: p95 latency 300 ms"
    )
    adaptive = verdict(Capacity("everyframe-nano", 4, (step(analysed_fps=7.25),), most=4), WANTED)
    assert "with everyframe-nano: 4 cameras" in adaptive
    assert "7.2 of 25 frames/s analysed each" in adaptive
    assert adaptive.endswith("no more than 4 were tried")
    none = verdict(Capacity("none", 0, (step(cameras=1, failure="p95 latency 300 ms"),), most=64), WANTED)
    assert none == "without a model: not one camera: p95 latency 300 ms"


def test_steps_in_words_and_in_a_table():
    assert step_words(step(cameras=1)) == "1 camera: 25.0 frames/s decoded, p95 20 ms, 0.50 cores"
    assert step_words(step(failure="p95 latency 300 ms")) == "4 cameras: too many: p95 latency 300 ms"
    rows = table(Capacity("none", 4, (step(cameras=4), step(cameras=2)), most=4))
    assert list(rows.columns[0].cells) == ["2", "4"]


def test_the_processor_and_its_time(tmp_path):
    import os

    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: Some Processor 3000\n")
    assert processor(cpuinfo) == "Some Processor 3000"
    assert processor(tmp_path / "none") == "an unnamed processor"
    assert 0 < cpu_seconds_of(os.getpid()) < 1e6
    assert cpu_seconds_of(2**30) == 0.0
