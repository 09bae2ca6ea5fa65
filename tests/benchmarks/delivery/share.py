"""How much of a frame's CPU time publishing takes, in a run of a real clip with the embedded model: at most 3 %.

``everyframe run CLIP``'s engine runs with nobody, with a reader of `tracks` and with one of `all`, by turns. The whole
is what its workers use a frame: decoding, the network, suppression, merging, tracking. Publishing is counted widely:
all that the publisher's process does, ledger and statuses included, and the coding of each result in the vision worker,
which is measured apart on the results of that very clip.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil

from pipeline import Pipeline
from pipeline.config import PipelineConfig, check, parse
from pipeline.engines.local import LocalEngine
from pipeline.wire import encode_result
from tests.benchmarks.joined import joined
from tests.benchmarks.table import Row

CLIPS = Path(__file__).resolve().parents[4] / "shared" / "data" / "videos"
CLIP = "one-by-one-person-detection.mp4"
ROUNDS, FRAMES = 2, 400
WARM_UP, CODED = 20, 100  # frames before it counts; results that coding is measured on
MOST_PERCENT = 3.0
READ = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.subscribe(sys.argv[2])
while True:
    socket.recv_multipart()
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU milliseconds a frame."""

    workers: float
    publisher: float


def spent(clip: Path, kind: str | None, *, frames: int) -> Spent:
    """Of a run of the first `frames` of a clip with one reader of a kind, or none."""
    with tempfile.TemporaryDirectory() as folder, LocalEngine(_config(clip, folder)) as engine:
        engine.start()
        reader = None
        if kind is not None:
            reader = subprocess.Popen([sys.executable, "-c", READ, engine.address, f"door/{kind}/"])
        try:
            first = _wait(engine, WARM_UP)
            processes = [(worker.role, psutil.Process(worker.pid)) for worker in engine.vitals().workers]
            before = [_seconds(process) for _, process in processes]
            count = _wait(engine, frames) - first
            used = [_seconds(process) - since for (_, process), since in zip(processes, before, strict=True)]
        finally:
            if reader is not None:
                reader.kill()
                reader.wait()
    publisher = sum(each for (role, _), each in zip(processes, used, strict=True) if role == "publisher")
    return Spent(workers=sum(used) / count * 1e3, publisher=publisher / count * 1e3)


def coding_ms(clip: Path) -> float:
    """CPU milliseconds of coding a result of the clip just after it was made, as the vision worker does.

    The median: in between the network has run, so caches are cold, and coding takes up to twice what a loop would tell.
    """
    taken = []
    for result in islice(Pipeline(sources=[str(clip)]).run(), WARM_UP + CODED):
        begin = time.thread_time()
        encode_result(result)
        taken.append(time.thread_time() - begin)
    return statistics.median(taken[WARM_UP:]) * 1e3


def _config(clip: Path, folder: str) -> PipelineConfig:
    given = {"sources": [f"door={clip}"], "publish": {"bind": "tcp://127.0.0.1:0"}}
    return check(parse(given | {"supervisor": {"state_directory": folder}}))


def _wait(engine: LocalEngine, frames: int) -> int:
    """Until so many results are out; how many there are."""
    while (resulted := engine.statistics().resulted) < frames:
        if engine.wait(0.02):
            raise RuntimeError(f"the run ended after {resulted} results; {frames} were to be measured")
    return resulted


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def run(*, quick: bool = False) -> list[Row]:
    """A row for each kind of reader; nothing where the clip is not there."""
    if not (CLIPS / CLIP).exists():
        print(f"  {CLIP} is not here: what publishing takes of a frame is left out", file=sys.stderr)
        return []
    frames = 150 if quick else FRAMES
    runs: defaultdict[str | None, list[Spent]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        clip = joined(CLIPS / CLIP, Path(folder), frames=frames + 200)  # not to its end, where workers end
        coding = coding_ms(clip)
        for _ in range(1 if quick else ROUNDS):
            for kind in (None, "tracks", "all"):
                try:
                    runs[kind].append(spent(clip, kind, frames=frames))
                except psutil.NoSuchProcess:
                    print("  a worker was replaced: the machine is too busy, this run is left out", file=sys.stderr)
    rows: list[Row] = [_row("coding a result of a real clip", "CPU ms", coding, None)]
    for kind, rounds in runs.items():
        if not rounds:
            continue
        who = "nobody" if kind is None else f"one reader of {kind}"
        whole, process = (statistics.median(getattr(s, name) for s in rounds) for name in ("workers", "publisher"))
        percent = statistics.median((s.publisher + coding) / s.workers * 100 for s in rounds)
        rows += [
            _row(f"publisher's process, {who}, of a frame's", "CPU ms", process, whole),
            _row(
                f"coding and publishing to {who}, of a frame's CPU time, against {MOST_PERCENT:.0f} %",
                "%",
                percent,
                MOST_PERCENT,
                target=1.0,
            ),
        ]
    return rows


def _row(name: str, unit: str, ours: float, theirs: float | None, *, target: float | None = None) -> Row:
    ratio = None if theirs is None else theirs / ours
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": ratio, "unit": unit, "target": target}
