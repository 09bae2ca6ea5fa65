"""A target rate: frames in between go around the network, are predicted by the tracker, and are results as well."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.build import Pipeline
from pipeline.config import DetectorConfig, OutputConfig, PipelineConfig, PublishConfig, SourceConfig, check, parse
from pipeline.engines.local import LocalEngine
from pipeline.errors import ConfigError
from pipeline.graph import Graph, Lanes
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo, PanopticMap, Segments, Surface, Transform
from pipeline.stage import Field
from stages.track import Track

CLIP = Path(__file__).resolve().parents[2] / "samples" / "crossing" / "crossing.mp4"
FRAMES = 31
SURFACE = Surface("rgb24", (np.zeros((2, 2, 3), np.uint8),))


def frame(seq: int) -> Frame:
    return Frame("cam", 1, seq, seq, Fraction(1, 25), seq * 40_000_000, "recording", 0, SURFACE)


@dataclass
class Network:
    """A box that moves on by a pixel a frame, and a map; notes what it is asked."""

    name: str = "detect"
    stateful: bool = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections", "panoptic"})
    seen: list[int] = field(default_factory=list)
    fail_seq: int = -1

    def __call__(self, batch: Batch) -> Batch:
        self.seen += [f.seq for f in batch.frames]
        if any(f.seq == self.fail_seq for f in batch.frames):
            raise RuntimeError("out of memory")
        found = tuple(
            Detections.of(
                np.array([[f.seq, 0, f.seq + 50, 50]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
            )
            for f in batch.frames
        )
        empty = PanopticMap(np.zeros((2, 2), np.uint16), Segments.empty(), Transform())
        return batch.with_(detections=found, panoptic=(empty,) * len(batch))


def graph(network: Network) -> Graph:
    return Graph([network, Track()], classes=Classes(("thing",)), model=ModelInfo("fake", "1"))


def batch(*analysed: bool, first: int = 0) -> Batch:
    return Batch(tuple(frame(first + i) for i in range(len(analysed))), analysed=analysed)


def test_skipped_frames_go_around_the_network_and_are_predicted() -> None:
    network = Network()
    with graph(network) as made, Lanes[None](made) as lanes:
        for first in (0, 3):
            lanes.submit(batch(True, False, False, first=first), None)
        lanes.submit(batch(False, False, first=6), None)
        done = list(lanes.drain())
    assert network.seen == [0, 3]
    results = [result for completed in done for result in completed.results]
    assert [result.seq for result in results] == list(range(8))
    assert [result.analysed for result in results] == [True, False, False, True, False, False, False, False]
    assert [result.panoptic is not None for result in results] == [result.analysed for result in results]
    assert [result.tracks.ids.tolist() for result in results] == [[1]] * 8
    assert [result.track_ids.tolist() for result in results] == [[1]] * 8
    assert results[7].detections.boxes[0, 0] > results[5].detections.boxes[0, 0] > 3


def test_a_frame_at_fault_is_left_out_and_those_around_it_are_not() -> None:
    network = Network(fail_seq=2)
    with graph(network) as made, Lanes[None](made) as lanes:
        lanes.submit(batch(True, False, True, False, True), None)
        (done,) = lanes.drain()
    assert [result.seq for result in done.results] == [0, 1, 3, 4]
    assert isinstance(done.error, RuntimeError)


def test_the_calling_thread_gives_the_same() -> None:
    with graph(Network()) as made:
        results = made.run(batch(True, False, True))
    assert [(result.seq, result.analysed) for result in results] == [(0, True), (1, False), (2, True)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "crossing.mp4"
    with av.open(str(CLIP)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(video=0), FRAMES):
            packet.stream = stream
            part.mux(packet)
    return path


def settings(clip: Path, directory: Path, **source: float) -> PipelineConfig:
    return check(
        PipelineConfig(
            sources=[SourceConfig(url=str(clip), source_id="crossing", **source)],  # type: ignore[arg-type]
            detector=DetectorConfig(requests=1, threads=1),
            publish=PublishConfig(bind=None),
            output=OutputConfig(directory=str(directory)),
        )
    )


def test_a_file_at_a_target_rate_gives_the_same_in_this_process_and_in_workers(clip: Path, tmp_path: Path) -> None:
    pipeline = Pipeline.from_config(settings(clip, tmp_path / "inline", target_fps=5))
    results = list(pipeline.run())
    assert len(results) == FRAMES
    analysed = [result.seq for result in results if result.analysed]
    rate = len(analysed) / ((results[-1].capture_time_ns - results[0].capture_time_ns) / 1e9)
    assert rate == pytest.approx(5, rel=0.3)
    assert analysed[0] == 0
    with LocalEngine(settings(clip, tmp_path / "local", target_fps=5)) as engine:
        engine.start()
        assert engine.wait(300)
        status = engine.statistics().sources[0]
    assert (status.captured, status.resulted, status.balance) == (FRAMES, FRAMES, 0)
    files = [(tmp_path / name / "results.jsonl").read_bytes() for name in ("inline", "local")]
    assert files[0] == files[1]


def test_a_rate_below_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="target_fps"):
        parse({"sources": [{"url": "a.mp4", "target_fps": -1}]})
