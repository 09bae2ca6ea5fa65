"""`everyframe process`: seconds of footage a second, with one worker and two, against the loop a user would write.

``python -m tests.benchmarks footage``. YOLOX-nano over a clip that is joined to itself, each side in processes of its
own, in turn. Busy is the processor time of all processes over that of two cores for as long as it took, the start of
the workers included. Where the time goes is told by ``timings.jsonl`` and by a run without a network. Memory is the
most that all processes held, of a minute of footage and of an hour, of which every 50th frame is analysed.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.endtoend import MODEL, ROOT, SHARED, side
from tests.benchmarks.joined import joined
from tests.benchmarks.table import Row

CLIP = SHARED / "videos" / "car-detection.mp4"
FRAMES, ROUNDS = 1500, 3
MINUTE, HOUR = 60, 3600  # seconds of footage
EVERY = 50
TWO_WORKERS, BUSY, MEMORY = 1.7, 0.9, 1.1


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took, and left."""

    frames: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stage_ms: float  # of all frames


class Peak(threading.Thread):
    """The most memory that a process and its children have held, each by itself, added up."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._most = pid, dict[int, int]()
        self.ended = threading.Event()

    @property
    def nbytes(self) -> int:
        """So far."""
        return sum(self._most.values())

    def run(self) -> None:
        """Look until told to end."""
        while not self.ended.wait(0.1):
            for pid in (self._pid, *_children(self._pid)):
                self._most[pid] = max(self._most.get(pid, 0), _high_water(pid))


def _children(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def process(clip: Path, *arguments: str) -> Ran:
    """The command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipeline.cli", "process", str(clip), "-q", "-o", folder, *arguments]
        before, begin = _spent(), time.perf_counter()
        running = subprocess.Popen(command, cwd=ROOT)
        peak = Peak(running.pid)
        peak.start()
        if running.wait() != 0:
            raise RuntimeError(f"{' '.join(command)} failed")
        seconds = time.perf_counter() - begin
        peak.ended.set()
        peak.join()
        (timings,) = Path(folder).glob("*/timings.jsonl")
        lines = [json.loads(line) for line in timings.read_text().splitlines()]
    stages = sum(sum(line["stage_ms"].values()) / max(line["batch_size"], 1) for line in lines)
    return Ran(len(lines), seconds, _spent() - before, peak.nbytes, stages)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rate(clip: Path) -> float:
    import av

    with av.open(str(clip)) as container:
        return float(container.streams.video[0].average_rate or 25)


def run(*, quick: bool = False) -> list[Row]:
    """All rows; `quick`: one round, without the hour."""
    with tempfile.TemporaryDirectory() as text:
        clip = joined(CLIP, Path(text), frames=FRAMES)
        rate = _rate(clip)
        network = ("--detector", str(MODEL))
        ones, twos, loops, plains = list[Ran](), list[Ran](), list[float](), list[Ran]()
        for _ in range(1 if quick else ROUNDS):
            ones.append(process(clip, *network, "--workers", "1"))
            twos.append(process(clip, *network, "--workers", "2"))
            loops.append(side("loops", "openvino", str(clip), str(MODEL))["fps"] / rate)
            plains.append(process(clip, "--detector", "none", "--workers", "1"))
        rows = _speed(ones, twos, loops, rate)
        rows += _shares(ones, plains)
    return rows if quick else rows + _memory(rate)


def _speed(ones: list[Ran], twos: list[Ran], loops: list[float], rate: float) -> list[Row]:
    one, two = ([ran.frames / rate / ran.seconds for ran in runs] for runs in (ones, twos))
    busy = [ran.cpu_seconds / ran.seconds / 2 for ran in twos]
    return [
        _row("two workers against one", two, one, "s of footage/s", TWO_WORKERS),
        _row("two workers against a loop of OpenCV and OpenVINO on two cores", two, loops, "s of footage/s", None),
        {"name": "two cores busy", "ours": 100 * statistics.median(busy), "theirs": 100.0, "unit": "%"}
        | {"ratio": statistics.median(busy), "target": BUSY},
    ]


def _row(name: str, ours: list[float], theirs: list[float], unit: str, target: float | None) -> Row:
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    shown: Row = {"name": name, "ours": statistics.median(ours), "theirs": statistics.median(theirs), "unit": unit}
    return shown | {"ratio": ratio, "target": target}


def _shares(ones: list[Ran], plains: list[Ran]) -> list[Row]:
    """Where a worker's time goes: the network and what follows it, decoding and writing empty results, the rest."""
    stages = statistics.median(ran.stage_ms / ran.frames for ran in ones)
    decoding = statistics.median(ran.seconds * 1e3 / ran.frames for ran in plains)
    whole = statistics.median(ran.seconds * 1e3 / ran.frames for ran in ones)
    parts = {"networks": stages, "decoding and writing": decoding, "the rest": whole - stages - decoding}
    return [
        {"name": f"one worker, time of a frame: {name}", "ours": spent, "theirs": whole, "ratio": spent / whole}
        | {"unit": "ms"}
        for name, spent in parts.items()
    ]


def _memory(rate: float) -> list[Row]:
    peaks = []
    for seconds in (MINUTE, HOUR):
        with tempfile.TemporaryDirectory() as text:
            clip = joined(CLIP, Path(text), frames=round(seconds * rate))
            ran = process(clip, "--detector", str(MODEL), "--every", str(EVERY), "--workers", "2")
            peaks.append(ran.peak_bytes / 2**20)
    return [
        {"name": "memory of an hour of footage against a minute", "ours": peaks[1], "theirs": peaks[0], "unit": "MiB"}
        | {"ratio": peaks[0] / peaks[1], "target": 1 / MEMORY}
    ]
