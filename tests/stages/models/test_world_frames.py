"""The street world: the same bytes for the same seed, and a truth that agrees with itself."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.world import CLASSES, STUFF, THINGS, World, WorldFrame

_SIZE = {"width": 256, "height": 144, "supersample": 1}


def _frames(seed: int, *, split: str = "train", count: int = 1, **options: object) -> list[WorldFrame]:
    world = World(seed, split=split, fps=5.0, **{**_SIZE, **options})  # type: ignore[arg-type]
    return list(world.frames(count))


def _slow_box(frame: WorldFrame, track_id: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(frame.id_map == 1000 + track_id)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _assert_consistent(frame: WorldFrame) -> None:
    count = len(frame.boxes)
    assert frame.boxes.shape == (count, 4)
    assert len(frame.labels) == len(frame.track_ids) == len(frame.visibility) == count
    assert len(set(frame.track_ids.tolist())) == count
    in_map = set(np.unique(frame.id_map[frame.id_map >= 1000]).tolist())
    assert in_map == {1000 + track_id for track_id in frame.track_ids.tolist()}
    assert set(np.unique(frame.id_map[frame.id_map < 1000]).tolist()) <= set(range(len(STUFF) + 1))
    for box, track_id in zip(frame.boxes.tolist(), frame.track_ids.tolist(), strict=True):
        assert tuple(box) == _slow_box(frame, track_id)
    assert ((frame.labels >= 0) & (frame.labels < len(THINGS))).all()
    assert ((frame.visibility > 0) & (frame.visibility <= 1)).all()


def test_classes_are_things_then_stuff() -> None:
    assert CLASSES == (
        "person", "bicycle", "car", "bus", "truck", "road", "pavement", "building", "sky", "vegetation",
    )  # fmt: skip


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_same_seed_gives_same_bytes(split: str) -> None:
    for first, second in zip(_frames(5, split=split, count=3), _frames(5, split=split, count=3), strict=True):
        for name in WorldFrame.__slots__:
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name


def test_render_does_not_move_the_world() -> None:
    world = World(8, **_SIZE)  # type: ignore[arg-type]
    assert world.render().image.tobytes() == world.render().image.tobytes()


def test_other_seeds_and_splits_differ() -> None:
    images = [_frames(seed, split=split)[0].image.tobytes() for seed in (1, 2) for split in ("train", "unseen")]
    assert len(set(images)) == 4


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_truth_agrees_with_the_id_map(split: str) -> None:
    frames = [frame for seed in range(20, 32) for frame in _frames(seed, split=split, count=2)]
    for frame in frames:
        _assert_consistent(frame)
    labels = np.concatenate([frame.labels for frame in frames])
    assert set(labels.tolist()) == set(range(len(THINGS))), "a class is never drawn"
    seen = set(np.unique(np.concatenate([np.unique(frame.id_map) for frame in frames])).tolist())
    assert set(range(1, len(STUFF) + 1)) <= seen, "a kind of stuff is never drawn"


@pytest.mark.parametrize(("width", "height"), [(333, 201), (128, 512), (97, 64), (512, 128)])
def test_odd_sizes(width: int, height: int) -> None:
    frame = _frames(3, width=width, height=height)[0]
    assert frame.image.shape == (height, width, 3)
    assert frame.image.dtype == np.uint8
    assert frame.id_map.shape == (height, width)
    _assert_consistent(frame)


def test_an_empty_street_is_ordinary() -> None:
    from stages.models.world.traffic import Crowd

    frame = _frames(3, crowd=Crowd(vehicles=0, cyclists=0, walkers=0, standers=0))[0]
    assert frame.boxes.shape == (0, 4)
    assert frame.labels.shape == frame.track_ids.shape == frame.visibility.shape == (0,)
    assert frame.id_map.max() <= len(STUFF)


def test_supersampling_changes_edges_not_truth_much() -> None:
    plain, smooth = (_frames(12, supersample=samples)[0] for samples in (1, 3))
    assert (plain.id_map == smooth.id_map).mean() > 0.97


def test_nothing_is_void_but_slivers() -> None:
    for seed in range(6):
        assert (_frames(seed)[0].id_map == 0).mean() < 0.02


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seed": -1}, "seed"),
        ({"split": "test"}, "split"),
        ({"width": 16}, "32 pixels"),
        ({"fps": 0.0}, "fps"),
        ({"supersample": 0}, "supersample"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, object], complaint: str) -> None:
    arguments: dict[str, object] = {"seed": 1, **options}
    with pytest.raises(ValueError, match=complaint):
        World(**arguments)  # type: ignore[arg-type]


def test_time_only_goes_forward() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        World(1, **_SIZE).step(0.0)  # type: ignore[arg-type]
