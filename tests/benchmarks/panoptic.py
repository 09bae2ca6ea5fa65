"""Panoptic post-processing: mask classification (EoMT at 640, 200 queries, a 1080p source) against `transformers`.

``python -m tests.benchmarks.panoptic --device cpu|cuda`` prints the table. The outputs are made: masks of drawn streets
as a network would give them, at a quarter of its input, and many queries that mean nothing. Ours ends with maps and
tables on the host; theirs with its tensors where the network ran, and is not charged for fetching them. Ours makes maps
of 1, 2, 4, ... times the size of the network's masks; theirs enlarges every mask to the source's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.messages import Classes, PanopticMap, Transform
from stages.models.evaluation.panoptic_quality import PanopticQuality
from stages.segment import batched
from stages.segment.fetch import pack, unpack
from stages.segment.merge import merge_queries
from tests.benchmarks.streets import street
from tests.benchmarks.table import Row
from tests.benchmarks.timing import Device, fastest_ms, main, replayed, row

FULL_HD, NETWORK, STRIDE, QUERIES, SEGMENTS = (1080, 1920), 640, 4, 200, 32
CLASSES = Classes(tuple(f"thing {i}" for i in range(80)), tuple(f"stuff {i}" for i in range(53)))
SIDE = NETWORK // STRIDE
ROWS = SIDE * FULL_HD[0] // FULL_HD[1]  # of the map that show the picture; the rest is padding
TRANSFORM = Transform(FULL_HD[1] / SIDE, FULL_HD[0] / ROWS)
THRESHOLD = 0.8
THINNED = 3  # `torchmetrics` takes 10 s for all pixels of a frame
BATCHES: dict[Device, tuple[int, ...]] = {"cpu": (1,), "cuda": (1, 4)}
SCALES: dict[Device, tuple[int, ...]] = {"cpu": (1, 4, 6), "cuda": (1, 4, 6)}
TARGETS: dict[Device, float] = {"cpu": 50.0, "cuda": 50.0}


@dataclass(frozen=True)
class Outputs:
    """What a network gives for a batch, and what it looked at."""

    masks: torch.Tensor  # [B, Q, SIDE, SIDE]
    chances: torch.Tensor  # [B, Q, C + 1]
    truth: list[np.ndarray]  # label and instance [1080, 1920, 2] of each frame


def outputs(count: int, *, seed: int = 0) -> Outputs:
    """Frames of one street each."""
    made = [_outputs(seed + i) for i in range(count)]
    masks, chances = (torch.from_numpy(np.stack(column)) for column in list(zip(*made, strict=True))[:2])
    return Outputs(masks, chances, [truth for _, _, truth in made])


def _outputs(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = street(FULL_HD, segments=SEGMENTS, seed=seed)
    stuff = SEGMENTS // 4
    labels = np.concatenate([80 + rng.permutation(53)[:stuff], rng.integers(0, 80, SEGMENTS - stuff)])
    masks = np.full((QUERIES, SIDE, SIDE), -8.0, np.float32)
    chances = rng.normal(0, 1, (QUERIES, len(CLASSES.names) + 1)).astype(np.float32)
    chances[:, -1] += 8
    found = rng.permutation(QUERIES)
    seen = [_share(ids == segment + 1) for segment in range(SEGMENTS)]
    for query, segment in enumerate(rng.integers(0, SEGMENTS, QUERIES)):
        masks[query] = _logits(seen[segment], rng)  # most see what another sees better
    for segment in range(SEGMENTS):
        masks[found[segment]] = _logits(seen[segment], rng)
        chances[found[segment], labels[segment]] = 16 + rng.uniform(-1, 1)
    return masks, chances, np.stack([labels[ids - 1], ids], axis=-1).astype(np.int64)


def _share(mask: np.ndarray) -> np.ndarray:
    """How much of each place of the network's masks it covers."""
    return cv2.resize(mask.astype(np.float32), (SIDE, ROWS), interpolation=cv2.INTER_AREA)


def _logits(small: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    logits = np.full((SIDE, SIDE), -8.0, np.float32)
    logits[:ROWS] = np.log((small + 3e-4) / (1 - small + 3e-4)) + rng.normal(0, 0.3, small.shape)
    return logits


def ours(given: Outputs, device: Device, *, scale: int) -> Callable[[], list[PanopticMap]]:
    """What makes maps and tables on the host."""
    masks = given.masks[:, :, :ROWS].contiguous()
    options: dict[str, Any] = {"classes": CLASSES, "scale": scale, "score_threshold": THRESHOLD}
    if device == "cpu":
        frames = list(zip(masks.numpy(), given.chances.numpy(), strict=True))
        return lambda: [merge_queries(*one, transform=TRANSFORM, **options)[0] for one in frames]
    work = replayed(lambda: pack(batched.merge_queries(masks, given.chances, **options)), device=device)
    transform = Transform(TRANSFORM.scale_x / scale, TRANSFORM.scale_y / scale)

    def fetched() -> list[PanopticMap]:
        packed, shape = work()
        maps = unpack(packed.cpu().numpy(), shape, classes=CLASSES, transforms=[transform] * len(masks))
        if maps is None:
            raise ValueError("the maps have more runs than there is room for")
        return maps

    return fetched


def theirs(processor: Any, given: Outputs) -> list[dict[str, Any]]:
    """What the package's own function makes of the same."""
    found = SimpleNamespace(masks_queries_logits=given.masks, class_queries_logits=given.chances)
    stuff = list(range(len(CLASSES.things), len(CLASSES.names)))
    sizes = [FULL_HD] * len(given.masks)
    done: list[dict[str, Any]] = processor.post_process_panoptic_segmentation(
        found, target_sizes=sizes, threshold=THRESHOLD, stuff_classes=stuff
    )
    return done


def quality(frames: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """PQ in percent over the classes that occur, of label and instance [H, W, 2]; of every third row and column."""
    occurring = sorted({int(label) for frame in truth for label in np.unique(frame[..., 0])})
    place = np.full(len(CLASSES.names) + 1, -1)
    place[occurring] = range(len(occurring))  # what is void, label -1, stays it
    names = [CLASSES.names[label] for label in occurring]
    metric = PanopticQuality(names, things=sum(label < len(CLASSES.things) for label in occurring))
    for frame, true in zip(frames, truth, strict=True):
        looked_at = (one[::THINNED, ::THINNED] for one in (frame, true))
        both = [np.stack([place[one[..., 0]], one[..., 1]], axis=-1) for one in looked_at]
        metric.add(*both)
    return 100 * metric.quality()["all"]["pq"]


def pixels_of_ours(panoptic: PanopticMap) -> np.ndarray:
    """Label and instance of each source pixel."""
    ids = panoptic.at_size(FULL_HD[1], FULL_HD[0]).astype(np.int64)
    return np.stack([np.concatenate([[-1], panoptic.segments.labels])[ids], ids], axis=-1)


def pixels_of_theirs(found: dict[str, Any]) -> np.ndarray:
    """Label and instance of each source pixel."""
    ids = found["segmentation"].cpu().numpy().astype(np.int64) + 1
    return np.stack([np.array([-1] + [one["label_id"] for one in found["segments_info"]])[ids], ids], axis=-1)


def run(device: Device = "cpu") -> list[Row]:
    """A row for each size of batch and scale, and the quality of both."""
    from transformers import EomtImageProcessor

    processor = EomtImageProcessor()
    rows = []
    for count in BATCHES[device]:
        made = outputs(count)
        given = Outputs(made.masks.to(device), made.chances.to(device), made.truth)
        their_ms = fastest_ms(lambda given=given: theirs(processor, given), device=device, rounds=3) / count
        their_pq = quality([pixels_of_theirs(one) for one in theirs(processor, given)], given.truth)
        for scale in SCALES[device]:
            work = ours(given, device, scale=scale)
            name = f"1080p, batch {count}, maps of {SIDE * scale}×{ROWS * scale}"
            our_ms = fastest_ms(work, device=device, rounds=10) / count
            rows.append(row(name, our_ms, their_ms, unit="ms/frame", target=TARGETS[device]))
            our_pq = quality([pixels_of_ours(one) for one in work()], given.truth)
            rows.append(
                row(f"{name}: PQ on drawn streets", our_pq, their_pq, unit="%") | {"ratio": None}  # more is better
            )
    return rows


if __name__ == "__main__":
    main(run, __doc__)
