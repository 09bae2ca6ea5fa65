"""End to end on a GPU: how many 1080p30 cameras are decoded, analysed and tracked with a p95 latency of 100 ms.

``python -m tests.benchmarks streams --device cuda``. A thread a camera gives a clip's packets to its decoder at 30 a
second; what comes out goes through the batcher, the lanes and the graph that a run has, and is coded as for `all`. A
frame's latency counts from its packet to its coded result. Cameras are spread over one or several processes on the one
GPU, as ``device: [cuda:0, cuda:0]`` has it. The networks are the real architectures with random weights: RT-DETRv2 with
its R50, and EoMT-S for panoptic maps of every frame, and of every third. Random masks have no segments, so what EoMT
gives is replaced, once it is computed, by masks of drawn streets (`panoptic`). Theirs is the number of streams that is
asked for, or the loop a user would write (`user_loop`), whose frames a second are held against ours. How busy the GPU
and its decoder were is as the driver says (NVML). Where a frame's time goes is drawn beside the figures.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.benchmarks.clips import clip_of
from tests.benchmarks.streams.networks import network
from tests.benchmarks.streams.rig import LATENCY_MS, SECONDS, Measured
from tests.benchmarks.streams.worker import Workers
from tests.benchmarks.table import Row, show
from tests.benchmarks.user_loop import frames_a_second

LADDER = (8, 16, 20, 25, 28, 32, 36, 40, 45, 50, 56, 64, 72, 80, 100, 128, 160, 200)
PICTURE = Path(__file__).parents[1] / "results" / "streams.png"


@dataclass(frozen=True, slots=True)
class Case:
    """A network, the processes that share the GPU, batches, every which frame is analysed, the streams asked for."""

    name: str
    kind: str
    workers: int
    max_batch: int
    every: int
    target: int
    start: int  # of the ladder


def climb(workers: Workers, case: Case) -> Measured:
    """The most streams of the ladder that keep up, looked for from where the case begins, upwards or downwards."""
    tried: dict[int, Measured] = {}
    at = LADDER.index(case.start)
    while at not in tried and 0 <= at < len(LADDER):
        tried[at] = measured = workers.measure(LADDER[at], every=case.every)
        latency = f"p95 {measured.p95_ms:.0f} ms, {measured.lost} lost of {measured.frames + measured.lost}"
        spent = ", ".join(f"{stage} {milliseconds:.1f}" for stage, milliseconds in spent_by(measured).items())
        print(f"  {case.name}, {LADDER[at]} streams: {latency}; {spent}; busy {measured.busy}", flush=True)
        at += 1 if measured.keeps_up else -1
    return max((one for one in tried.values() if one.keeps_up), key=lambda one: one.streams, default=Measured(0))


def rows_of(case: Case, best: Measured) -> list[Row]:
    """How many streams, where a frame's time goes, and how busy the GPU is."""
    name, target = case.name, case.target
    rows: list[Row] = [
        {
            "name": f"{name}: 1080p30 streams with p95 of at most {LATENCY_MS:.0f} ms (theirs: asked for)",
            "ours": best.streams,
            "theirs": target,
            "ratio": best.streams / target,
            "unit": "streams",
            "target": 1.0,
        }
    ]
    if not best.streams:
        return rows
    for stage, milliseconds in {**spent_by(best), "latency p95": best.p95_ms}.items():
        rows.append({"name": f"{name}: {stage}", "ours": milliseconds, "theirs": None, "ratio": None, "unit": "ms"})
    for part, percent in best.busy.items():
        rows.append({"name": f"{name}: {part} busy", "ours": percent, "theirs": None, "ratio": None, "unit": "%"})
    return rows


def spent_by(best: Measured) -> dict[str, float]:
    """Milliseconds of a frame, by where they went: decoder, the stages of its whole batch; waiting is what is left."""
    stages = {stage: total / max(best.frames, 1) for stage, total in best.stage_ms.items()}
    decode = statistics.fmean(best.decode_ms) if best.decode_ms else 0.0
    latency = statistics.fmean(best.latencies_ms) if best.latencies_ms else 0.0
    return {"decode": decode, "wait": max(0.0, latency - decode - sum(stages.values())), **stages}


def plot(measured: dict[str, Measured], path: Path) -> None:
    """A bar for each network: where a frame's time goes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.9 * len(measured)))
    stages = list(dict.fromkeys(stage for best in measured.values() for stage in spent_by(best)))
    names = [f"{name}\n{best.streams} streams" for name, best in measured.items()]
    left = [0.0] * len(measured)
    for number, stage in enumerate(stages):
        widths = [spent_by(best).get(stage, 0.0) for best in measured.values()]
        axes.barh(names, widths, left=left, label=stage, color=pyplot.get_cmap("tab10")(number))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.plot([best.p95_ms for best in measured.values()], names, "k|", markersize=24, label="latency p95")
    axes.set(xlabel="milliseconds of a frame, from its packet to its coded result", xlim=(0, None))
    axes.invert_yaxis()
    figure.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False, markerscale=0.4)
    figure.savefig(path, dpi=110, bbox_inches="tight")


CASES = (
    Case("RT-DETRv2-R50", "detector", workers=1, max_batch=32, every=1, target=50, start=50),
    Case("EoMT-S, every frame, three workers", "panoptic", workers=3, max_batch=16, every=1, target=25, start=28),
    Case("EoMT-S, every third frame, three workers", "panoptic", workers=3, max_batch=16, every=3, target=50, start=64),
)
LOOP_TARGET = 10.0


def run(cases: Sequence[Case] = CASES) -> list[Row]:
    """All rows."""
    rows: list[Row] = []
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as text:
        for kind, of_kind in groupby(cases, key=lambda case: case.kind):
            folder = Path(text) / kind
            model = network(kind, folder)
            most = 0.0
            for (count, max_batch), with_so_many in groupby(of_kind, key=lambda case: (case.workers, case.max_batch)):
                with Workers(count, kind, model, max_batch=max_batch) as workers:
                    for case in with_so_many:
                        found[case.name] = best = climb(workers, case)
                        rows += rows_of(case, best)
                        most = max(most, best.frames / SECONDS / case.every)
            theirs = frames_a_second(kind, folder, clip_of("h264"), device="cuda")
            rows.append(
                {"name": f"{kind}: against OpenCV and transformers, a picture at a time", "ours": most}
                | {"theirs": theirs, "ratio": most / theirs, "unit": "frames/s", "target": LOOP_TARGET}
            )
            show(f"Streams: {kind}", rows)
    plot(found, PICTURE)
    return rows
