"""One graph, wherever it runs: the same bytes inline and in workers, for any number of lanes."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import av
import pytest

from pipeline.build import Pipeline
from pipeline.config import BatchConfig, DetectorConfig, OutputConfig, PipelineConfig, PublishConfig, check
from pipeline.engines.local import LocalEngine

CLIP = Path(__file__).resolve().parent.parent / "samples" / "crossing" / "crossing.mp4"
FRAMES = 101  # by three and by four there is a rest


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the sample, its packets as they are."""
    path = tmp_path_factory.mktemp("clip") / "crossing.mp4"
    with av.open(str(CLIP)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(video=0), FRAMES):
            packet.stream = stream
            part.mux(packet)
    return path


def settings(clip: Path, directory: Path, *, lanes: int = 2, max_batch: int = 1) -> PipelineConfig:
    return check(
        PipelineConfig(
            sources=[f"crossing={clip}"],
            detector=DetectorConfig(requests=lanes, threads=lanes),
            batch=BatchConfig(max_batch=max_batch),
            publish=PublishConfig(bind=None),
            output=OutputConfig(directory=str(directory)),
        )
    )


def results_inline(clip: Path, directory: Path, *, lanes: int = 2, max_batch: int = 1) -> bytes:
    pipeline = Pipeline.from_config(settings(clip, directory, lanes=lanes, max_batch=max_batch))
    assert sum(1 for _ in pipeline.run()) == pipeline.statistics().sources[0].captured == FRAMES
    return (directory / "results.jsonl").read_bytes()


@pytest.fixture(scope="module")
def reference(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one lane in this process gives."""
    results = results_inline(clip, tmp_path_factory.mktemp("one-lane"), lanes=1)
    assert any(json.loads(line)["tracks"] for line in results.splitlines())
    return results


@pytest.mark.parametrize(("lanes", "max_batch"), [(2, 1), (2, 3)])
def test_results_do_not_depend_on_lanes_or_batches(
    reference: bytes, clip: Path, tmp_path: Path, lanes: int, max_batch: int
) -> None:
    assert results_inline(clip, tmp_path, lanes=lanes, max_batch=max_batch) == reference


def test_the_local_engine_gives_the_same_bytes(reference: bytes, clip: Path, tmp_path: Path) -> None:
    with LocalEngine(settings(clip, tmp_path)) as engine:
        engine.start()
        assert engine.wait(300)
        status = engine.statistics().sources[0]
    assert (status.captured, status.balance) == (status.resulted, 0)
    assert (tmp_path / "results.jsonl").read_bytes() == reference
