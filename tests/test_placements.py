"""One graph, wherever it runs: the same bytes inline and in workers, for any number of lanes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.build import Pipeline
from pipeline.config import BatchConfig, DetectorConfig, OutputConfig, PipelineConfig, PublishConfig, check
from pipeline.engines.local import LocalEngine

CLIP = Path(__file__).resolve().parent.parent / "samples" / "crossing" / "crossing.mp4"


def settings(directory: Path, *, lanes: int = 2, max_batch: int = 1) -> PipelineConfig:
    return check(
        PipelineConfig(
            sources=[f"crossing={CLIP}"],
            detector=DetectorConfig(requests=lanes, threads=lanes),
            batch=BatchConfig(max_batch=max_batch),
            publish=PublishConfig(bind=None),
            output=OutputConfig(directory=str(directory)),
        )
    )


def results_inline(directory: Path, *, lanes: int = 2, max_batch: int = 1) -> bytes:
    pipeline = Pipeline.from_config(settings(directory, lanes=lanes, max_batch=max_batch))
    assert sum(1 for _ in pipeline.run()) == pipeline.statistics().sources[0].captured > 0
    return (directory / "results.jsonl").read_bytes()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one lane in this process gives."""
    return results_inline(tmp_path_factory.mktemp("one-lane"), lanes=1)


@pytest.mark.parametrize(("lanes", "max_batch"), [(2, 1), (2, 3)])
def test_results_do_not_depend_on_lanes_or_batches(
    reference: bytes, tmp_path: Path, lanes: int, max_batch: int
) -> None:
    assert results_inline(tmp_path, lanes=lanes, max_batch=max_batch) == reference


def test_the_local_engine_gives_the_same_bytes(reference: bytes, tmp_path: Path) -> None:
    with LocalEngine(settings(tmp_path)) as engine:
        engine.start()
        assert engine.wait(300)
        status = engine.statistics().sources[0]
    assert (status.captured, status.balance) == (status.resulted, 0)
    assert (tmp_path / "results.jsonl").read_bytes() == reference
