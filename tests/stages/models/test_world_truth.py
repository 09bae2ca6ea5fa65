"""Truth files: what is written is read back, what is no such file is refused; the sample has its truth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from stages.models.world import World
from stages.models.world.truth import read_truth, reduce_map, write_truth

_SAMPLE = Path(__file__).parents[3] / "samples" / "crossing"


def _frames(count: int = 7):  # type: ignore[no-untyped-def]
    return list(World(7, width=203, height=121, supersample=1).frames(count))


def test_round_trip(tmp_path: Path) -> None:
    frames = _frames()
    write_truth(tmp_path / "truth.json.gz", frames, fps=12.5, scale=4, every=3)
    truth = read_truth(tmp_path / "truth.json.gz")
    assert (truth.width, truth.height, truth.fps, truth.scale) == (203, 121, 12.5, 4)
    assert [frame.id_map is not None for frame in truth.frames] == [True, False, False, True, False, False, True]
    for written, read in zip(frames, truth.frames, strict=True):
        for name in ("boxes", "labels", "track_ids"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
            assert getattr(read, name).dtype == getattr(written, name).dtype
        np.testing.assert_allclose(read.visibility, written.visibility, atol=0.006)
        if read.id_map is not None:
            np.testing.assert_array_equal(read.id_map, reduce_map(written.id_map, 4))


def test_reduced_map_takes_the_middle_of_each_square() -> None:
    id_map = np.arange(11 * 9, dtype=np.int32).reshape(11, 9)
    reduced = reduce_map(id_map, 4)
    assert reduced.tolist() == [[id_map[2, 2], id_map[2, 6]], [id_map[6, 2], id_map[6, 6]]]


def test_same_frames_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_truth(tmp_path / name, _frames(2))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"):
        write_truth(tmp_path / "truth.json.gz", [])


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


OTHER_FILES = {
    "empty": b"",
    "not-gzip": b"no gzip at all",
    "cut-short": _packed(b"{}")[:-6],
    "not-json": _packed(b"not json"),
    "a-list": _packed(b"[1, 2]"),
    "nested": _packed(b"[" * 5000),
    "no-deflate": _packed(b"x" * 99)[:12] + b"\xff" * 30,
    "another-format": _packed(json.dumps({"format": "other", "version": 1}).encode()),
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "truth.json.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"truth\.json\.gz"):
        read_truth(path)


@pytest.mark.parametrize("change", [{"scale": 0}, {"width": 10**9}, {"height": -8}, {"fps": [1]}, {"frames": [1]}])
def test_a_head_that_cannot_be_is_refused_before_memory_is_taken(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "truth.json.gz"
    write_truth(path, _frames(1))
    content = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(_packed(json.dumps(content | change).encode()))
    with pytest.raises(ValueError, match="is not a everyframe-world-truth"):
        read_truth(path)


@pytest.mark.parametrize("change", [{"map": [0, 10**9, 1]}, {"labels": [99]}, {"tracks": []}, {"map": [0, 1]}])
def test_broken_records_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "truth.json.gz"
    write_truth(path, _frames(1))
    content = json.loads(gzip.decompress(path.read_bytes()))
    content["frames"][0].update(change)
    path.write_bytes(_packed(json.dumps(content).encode()))
    with pytest.raises(ValueError, match="is not a everyframe-world-truth"):
        read_truth(path)


def test_sample_clip_has_its_truth() -> None:
    av = pytest.importorskip("av")
    truth = read_truth(_SAMPLE / "truth.json.gz")
    with av.open(str(_SAMPLE / "crossing.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (truth.width, truth.height) == (1280, 720)
        assert float(stream.average_rate) == truth.fps == 25
        assert sum(packet.pts is not None for packet in container.demux(stream)) == len(truth.frames)
    labels = np.concatenate([frame.labels for frame in truth.frames])
    assert set(labels.tolist()) == set(range(5))
    assert (_SAMPLE / "crossing.mp4").stat().st_size < 3_000_000
    assert (_SAMPLE / "truth.json.gz").stat().st_size < 300_000


def test_sample_is_the_world_it_says_it_is() -> None:
    """Its first frame has the boxes of the crossing with the seed in its README."""
    from stages.models.world.clip import crossing

    readme = (_SAMPLE / "README.md").read_text()
    seed = int(readme.split("--seed ")[1].split()[0])
    frame, kept = crossing(seed).render(), read_truth(_SAMPLE / "truth.json.gz").frames[0]
    np.testing.assert_array_equal(frame.boxes, kept.boxes)
    np.testing.assert_array_equal(frame.track_ids, kept.track_ids)
