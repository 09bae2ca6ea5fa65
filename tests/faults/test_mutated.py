"""Corrupt and hostile recordings and streams: nothing but our errors, no hang, bounded memory, nobody else harmed.

`EVERYFRAME_MUTATED=2000 pytest tests/faults/test_mutated.py` reads 2,000 mutants instead of 120 (and a tenth as many
over RTSP, over HTTP and through the engine). Mutant number n is always the same; one that fails is kept in
`EVERYFRAME_MUTANTS`, by default the folder `everyframe-mutants` beside other temporary files.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult, Gap
from tests.cameras import Behaviour, RtspCamera, numbered_frames, numbered_video
from tests.cameras.http_server import MJPEG, MPEG_TS, HttpCamera, mjpeg_parts, mpegts_parts
from tests.cameras.messages import Request, Response
from tests.fuzz.media.clips import FRAMES, clips
from tests.fuzz.media.mutate import Mutant, mutant
from tests.fuzz.media.victim import Verdict, Victim
from tests.fuzz.mutate import MUTATIONS

Seen = Callable[[str], None]

COUNT = int(os.environ.get("EVERYFRAME_MUTATED", "120"))
STREAMS = max(4, COUNT // 20)  # of each kind
KEEP = Path(os.environ.get("EVERYFRAME_MUTANTS", Path(tempfile.gettempdir()) / "everyframe-mutants"))

# A reader holds FFmpeg's code, and up to 17 pictures with their side tables: measured with whole videos of 1024x1024
# and 16 reference pictures, 26 bytes a pixel in 4:2:0 and 88 in 4:4:4 of 10 bits. The limit on pictures is low here, so
# that a lie about a size shows; with the default of 35 megapixels the same rule gives 4.6 GB.
MAX_PIXELS = 1 << 20
FIXED_MB = 128
BYTES_A_PIXEL = 128
CAP_MB = FIXED_MB + (BYTES_A_PIXEL * MAX_PIXELS >> 20)

DEADLINE_SECONDS = 60.0  # for a file of a dozen frames on a machine that has other things to do
OUR_ERRORS = {"SourceUnsupported", "NoDecodableFrames", "SourceUnreachable", "SourceNotFound", "SourceUnauthorized"}
IMPATIENT = {"open_timeout_seconds": 2.0, "read_timeout_seconds": 2.0}


class Tally:
    """What came of many mutants."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.frames = 0
        self.peak_mb = 0
        self.slowest_seconds = 0.0
        self.wrong: list[str] = []

    def add(self, what: object, verdict: Verdict, data: bytes = b"", suffix: str = "") -> None:
        """Count one; keep it where the promise was broken."""
        self.outcomes[verdict.outcome] += 1
        self.frames += verdict.frames
        self.peak_mb = max(self.peak_mb, verdict.peak_mb)
        self.slowest_seconds = max(self.slowest_seconds, verdict.seconds)
        ours = verdict.outcome == "read" or verdict.outcome in OUR_ERRORS
        if not ours or verdict.peak_mb > CAP_MB:
            self.wrong.append(f"{what}: {verdict}")
        if (not ours or verdict.peak_mb > CAP_MB) and data:
            KEEP.mkdir(parents=True, exist_ok=True)
            (KEEP / f"{str(what).split()[0].strip('#')}{suffix}").write_bytes(data)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        return (
            f"{self.outcomes.total()} read: {outcomes}; {self.frames} frames; "
            f"at most {self.peak_mb} of {CAP_MB} MB and {self.slowest_seconds:.1f} s each"
        )


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    with Victim() as process:
        yield process


def mutants(count: int, *, first: int = 0) -> Iterator[Mutant]:
    return (mutant(number, clips()) for number in range(first, first + count))


@pytest.mark.fault(
    "corrupt and hostile recordings",
    promise=f"only our errors, no hang, at most {FIXED_MB} MB + {BYTES_A_PIXEL} bytes x max_pixels",
)
def test_mutated_recordings(victim: Victim, tmp_path: Path, seen: Seen) -> None:
    tally, drawn = Tally(), Counter[str]()
    for one in mutants(COUNT):
        path = tmp_path / f"mutant{one.suffix}"
        path.write_bytes(one.data)
        verdict = victim.read(str(path), seconds=DEADLINE_SECONDS, max_pixels=MAX_PIXELS)
        tally.add(one, verdict, one.data, one.suffix)
        drawn[one.kind] += 1
    seen(f"{tally}; the reading process was started {victim.starts} times")
    assert not tally.wrong, tally.wrong
    assert set(drawn) == set(clips())
    assert min(tally.outcomes["read"], tally.outcomes["SourceUnsupported"]) > COUNT // 20


@pytest.mark.fault("corrupt recordings beside a good one", promise="each ends for itself; the good one is whole")
def test_mutated_recordings_through_the_engine(tmp_path: Path, seen: Seen) -> None:
    states: Counter[str] = Counter()
    for first in range(0, STREAMS, 6):
        states += run_engine(list(mutants(min(6, STREAMS - first), first=first)), tmp_path)
    seen(", ".join(f"{count} {state}" for state, count in states.most_common()))
    assert states.total() == STREAMS


def run_engine(several: list[Mutant], folder: Path) -> Counter[str]:
    """The states in which mutants end, each in a camera worker; the good recording beside them gives every frame."""
    suffix, whole = clips()["mp4 h264"]
    sources = [{"url": str(written(folder / f"good{suffix}", whole)), "source_id": "good"}]
    for one in several:
        path = written(folder / f"m{one.number}{one.suffix}", one.data)
        sources.append({"url": str(path), "source_id": f"m{one.number}", "max_pixels": MAX_PIXELS})
    settings = {
        "sources": sources,
        "publish": {"bind": None},
        "supervisor": {"state_directory": str(folder / "state"), "frame_deadline_seconds": 60},
    }
    with LocalEngine(check(parse(settings)), deliver=True, builder="tests.pipeline.numbered_build") as engine:
        engine.start()
        items = list(engine.results())
        statuses = {status.source_id: status for status in engine.statistics().sources}
        errors = engine.errors
    assert [item.seq for item in of_source(items, "good")] == list(range(FRAMES))
    for status in statuses.values():
        assert status.balance == status.in_flight == 0, status
    assert {type(error).__name__ for error in errors.values()} <= OUR_ERRORS
    return Counter(status.state for source_id, status in statuses.items() if source_id != "good")


def of_source(items: Iterable[FrameResult | Gap], source_id: str) -> list[FrameResult]:
    return [item for item in items if isinstance(item, FrameResult) and item.source_id == source_id]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


class Corrupting(Behaviour):
    """Some packets are mutated, and sometimes an answer: the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(loop=False)
        self.chance = random.Random(seed)
        self.answers = seed % 4 == 0  # more would leave few that play

    def respond(self, request: Request, response: Response) -> Response | None:
        if self.answers and response.body:
            return Response(response.status, response.headers, self.mutated(response.body))
        return response

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        for packet in packets:
            yield self.mutated(packet) if self.chance.random() < 0.2 else packet

    def mutated(self, data: bytes) -> bytes:
        """The bytes after one mutation; a packet over TCP may have 64 KB."""
        changed = bytearray(data)
        self.chance.choice(list(MUTATIONS.values()))(changed, self.chance)
        return bytes(changed[:60_000]) or b"\x00"


@pytest.mark.fault("corrupt RTP and descriptions", promise="only our errors, no hang, the same cap")
def test_mutated_rtsp_streams(rtsp_camera: Callable[..., RtspCamera], victim: Victim, seen: Seen) -> None:
    video, tally = numbered_video(10, 128, 96), Tally()
    for seed in range(STREAMS):
        camera = rtsp_camera(video, behaviour=Corrupting(seed))
        verdict = victim.read(camera.url, seconds=DEADLINE_SECONDS, max_pixels=MAX_PIXELS, **IMPATIENT)
        camera.close()
        tally.add(f"#rtsp-{seed}", verdict)
    seen(str(tally))
    assert not tally.wrong, tally.wrong
    assert tally.frames > 0


@pytest.mark.fault("corrupt MJPEG and MPEG-TS over HTTP", promise="only our errors, no hang, the same cap")
def test_mutated_http_streams(victim: Victim, seen: Seen) -> None:
    whole = {
        MJPEG: mjpeg_parts(numbered_frames(FRAMES, 128, 96)),
        MPEG_TS: mpegts_parts(numbered_frames(FRAMES, 128, 96)),
    }
    tally = Tally()
    for seed in range(STREAMS):
        chance = random.Random(seed)
        content_type = (MJPEG, MPEG_TS)[seed % 2]
        parts = [broken(part, chance) if chance.random() < 0.3 else part for part in whole[content_type]]
        with HttpCamera(parts, content_type=content_type, fps=200) as camera:
            verdict = victim.read(camera.url, seconds=DEADLINE_SECONDS, max_pixels=MAX_PIXELS, **IMPATIENT)
        tally.add(f"#http-{seed}", verdict, b"".join(parts), ".stream")
    seen(str(tally))
    assert not tally.wrong, tally.wrong
    assert tally.frames > 0


def broken(part: bytes, chance: random.Random) -> bytes:
    changed = bytearray(part or b"\x00")
    chance.choice(list(MUTATIONS.values()))(changed, chance)
    return bytes(changed)
