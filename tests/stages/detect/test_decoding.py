"""Every family's decoding against a slow reference, a cell at a time, and on nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from stages.detect import fastestdet, gfl, nano, ssd, yolo, yolox
from stages.detect.layout import Candidates, corners
from stages.models.backend import Port, Signature

Row = tuple[float, ...]  # x1, y1, x2, y2, score, label
THRESHOLD = 0.3


def rows(found: Candidates) -> np.ndarray:
    """[N, 6] sorted, so that order does not matter."""
    table = np.column_stack([found.boxes, found.scores, found.labels]) if len(found.scores) else np.zeros((0, 6))
    return table[np.lexsort(table.T)]


def assert_same(found: Candidates, expected: list[Row]) -> None:
    table = np.array(sorted(expected), dtype=np.float64).reshape(-1, 6)
    table = table[np.lexsort(table.T)]
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.labels.dtype == np.int32
    assert rows(found) == pytest.approx(table, rel=1e-4, abs=1e-3)


def grid_of(strides: tuple[int, ...], height: int = 64, width: int = 96) -> list[tuple[int, int, int]]:
    """(column, row, stride) of every cell."""
    return [(x, y, s) for s in strides for y in range(-(-height // s)) for x in range(-(-width // s))]


def test_cells_stand_in_the_order_of_the_grid() -> None:
    grid, strides = corners(64, 96, (8, 16, 32))
    assert np.column_stack([grid, strides]).tolist() == [list(cell) for cell in grid_of((8, 16, 32))]


def yolox_output(rng: np.random.Generator, classes: int = 5) -> np.ndarray:
    cells = len(grid_of(yolox.STRIDES))
    return np.concatenate([rng.normal(0, 1, (cells, 4)), rng.uniform(0, 1, (cells, 1 + classes))], 1).astype(np.float32)


def yolox_slowly(output: np.ndarray, threshold: float) -> list[Row]:
    found = []
    for (x, y, s), cell in zip(grid_of(yolox.STRIDES), output.astype(float), strict=True):
        label = int(cell[5:].argmax())
        score = cell[4] * cell[5 + label]
        if score >= threshold:
            cx, cy, w, h = (x + cell[0]) * s, (y + cell[1]) * s, math.exp(cell[2]) * s, math.exp(cell[3]) * s
            found.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, label))
    return found


def test_yolox() -> None:
    output = yolox_output(np.random.default_rng(0))
    found = yolox.decode(output, *corners(64, 96, yolox.STRIDES), THRESHOLD)
    assert 10 < len(found.scores) < len(output)
    assert_same(found, yolox_slowly(output, THRESHOLD))


def test_yolox_exported_with_decoded_boxes_gives_the_same() -> None:
    output = yolox_output(np.random.default_rng(0))
    grid, strides = corners(64, 96, yolox.STRIDES)
    decoded = output.copy()
    decoded[:, :2] = (output[:, :2] + grid) * strides
    decoded[:, 2:4] = np.exp(output[:, 2:4]) * strides
    signature = Signature((Port("x", (1, 3, 64, 96)),), (Port("y", (1, *output.shape)),))
    quiet = [output * 0.1, decoded * [1, 1, 1, 1, *[0.1] * 6]]
    raw_decoder, decoded_decoder = (yolox.LAYOUT.decoder(signature, [grey[None].astype(np.float32)]) for grey in quiet)
    assert rows(decoded_decoder([decoded[None]], THRESHOLD)) == pytest.approx(
        rows(raw_decoder([output[None]], THRESHOLD)), rel=1e-4, abs=1e-3
    )


def test_wild_sizes_stay_finite() -> None:
    output = yolox_output(np.random.default_rng(0))
    output[:, 2:4] = 500.0
    assert np.isfinite(yolox.decode(output, *corners(64, 96, yolox.STRIDES), THRESHOLD).boxes).all()


def test_yolo_without_objectness() -> None:
    rng = np.random.default_rng(1)
    output = np.concatenate([rng.uniform(5, 90, (4, 126)), rng.uniform(0, 0.6, (5, 126))]).astype(np.float32)
    expected = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2, max(scores), int(np.argmax(scores)))
        for x, y, w, h, *scores in output.T.astype(float)
        if max(scores) >= THRESHOLD
    ]
    assert_same(yolo.decode(output, THRESHOLD), expected)


def test_yolo_with_objectness() -> None:
    rng = np.random.default_rng(2)
    output = np.concatenate([rng.uniform(5, 90, (378, 4)), rng.uniform(0, 1, (378, 6))], axis=1).astype(np.float32)
    expected = []
    for x, y, w, h, objectness, *scores in output.astype(float):
        label = int(np.argmax(scores))
        if objectness * scores[label] >= THRESHOLD:
            expected.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2, objectness * scores[label], label))
    assert 0 < len(expected) < 378
    assert_same(yolo.decode_with_objectness(output, THRESHOLD), expected)


def test_distances_as_distributions() -> None:
    rng = np.random.default_rng(3)
    cells = grid_of((8, 16))
    scores = rng.uniform(0, 0.6, (len(cells), 5)).astype(np.float32)
    bins = rng.normal(0, 2, (len(cells), 4 * gfl.BINS)).astype(np.float32)
    expected = []
    for (x, y, s), row, logits in zip(cells, scores, bins.astype(float), strict=True):
        if row.max() < THRESHOLD:
            continue
        weights = np.exp(logits.reshape(4, gfl.BINS))
        left, top, right, bottom = (weights / weights.sum(1, keepdims=True) * range(gfl.BINS)).sum(1) * s
        cx, cy = (x + 0.5) * s, (y + 0.5) * s
        expected.append((cx - left, cy - top, cx + right, cy + bottom, row.max(), int(row.argmax())))
    grid, strides = corners(64, 96, (8, 16))
    assert_same(gfl.decode(scores, bins, (grid + 0.5) * strides, strides, THRESHOLD), expected)


def test_distances_survive_large_logits() -> None:
    bins = np.full((1, 4 * gfl.BINS), -1e4, dtype=np.float32)
    bins[0, 3 :: gfl.BINS] = 1e4
    assert gfl.expected(bins) == pytest.approx(np.full((1, 4), 3.0))


def test_fastestdet() -> None:
    rng = np.random.default_rng(4)
    output = np.concatenate([rng.uniform(0, 1, (1, 3, 4)), rng.normal(0, 1, (4, 3, 4)), rng.uniform(0, 1, (5, 3, 4))])
    output = output.astype(np.float32)
    expected = []
    for y in range(3):
        for x in range(4):
            objectness, dx, dy, w, h, *scores = output[:, y, x].astype(float)
            label = int(np.argmax(scores))
            score = objectness**0.6 * scores[label] ** 0.4
            if score >= THRESHOLD:
                cx, cy = (x + math.tanh(dx)) * 16, (y + math.tanh(dy)) * 16
                w, h = (side / (1 + math.exp(-value)) for side, value in ((64, w), (48, h)))
                expected.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, label))
    assert 0 < len(expected) < 12
    assert_same(fastestdet.decode(output, THRESHOLD), expected)


def test_ssd_leaves_the_background_out() -> None:
    rng = np.random.default_rng(5)
    boxes = rng.uniform(0, 1, (40, 4)).astype(np.float32)
    scores = rng.dirichlet(np.ones(4), 40).astype(np.float32)
    expected = [
        (*box, max(row[1:]), int(np.argmax(row[1:])))
        for box, row in zip(boxes.tolist(), scores.tolist(), strict=True)
        if max(row[1:]) >= THRESHOLD
    ]
    assert_same(ssd.decode(boxes, scores, THRESHOLD), expected)


def test_nano_keeps_coefficients_with_their_boxes() -> None:
    rng = np.random.default_rng(6)
    boxes = rng.uniform(0, 90, (1, 126, 4)).astype(np.float32)
    scores = rng.uniform(0, 0.6, (1, 126, 5)).astype(np.float32)
    coefficients = rng.normal(size=(1, 126, 24)).astype(np.float32)
    found = nano.decode([scores, coefficients, boxes], nano.Roles(2, 0, 1, 3, 4), THRESHOLD)
    strong = [i for i in range(126) if scores[0, i].max() >= THRESHOLD]
    assert np.array_equal(found.boxes, boxes[0, strong])
    assert np.array_equal(found.scores, scores[0, strong].max(1))
    assert np.array_equal(found.labels, scores[0, strong].argmax(1))
    assert found.coefficients is not None
    assert np.array_equal(found.coefficients, coefficients[0, strong])


NOTHING: dict[str, Callable[[], Candidates]] = {
    "yolox": lambda: yolox.decode(np.zeros((126, 85), np.float32), *corners(64, 96, yolox.STRIDES), THRESHOLD),
    "yolo": lambda: yolo.decode(np.zeros((84, 126), np.float32), THRESHOLD),
    "yolo with objectness": lambda: yolo.decode_with_objectness(np.zeros((378, 85), np.float32), THRESHOLD),
    "gfl": lambda: gfl.decode(
        np.zeros((96, 80), np.float32), np.zeros((96, 32), np.float32), *corners(64, 96, (8,)), THRESHOLD
    ),
    "fastestdet": lambda: fastestdet.decode(np.zeros((85, 4, 6), np.float32), THRESHOLD),
    "ssd": lambda: ssd.decode(np.zeros((9, 4), np.float32), np.zeros((9, 81), np.float32), THRESHOLD),
    "nano": lambda: nano.decode(
        [np.zeros((1, 9, n), np.float32) for n in (4, 5, 24)], nano.Roles(0, 1, 2, 3, 4), THRESHOLD
    ),
}


@pytest.mark.parametrize("family", NOTHING)
def test_nothing_found_is_ordinary(family: str) -> None:
    found = NOTHING[family]()
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)
