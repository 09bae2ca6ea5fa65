"""What flows checks its own shapes, prints shapes and never pixels, and slices to its own type."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from pipeline.messages import (
    NO_TRACK,
    Batch,
    Classes,
    Detections,
    DeviceSurface,
    Frame,
    Gap,
    ModelInfo,
    PanopticMap,
    Segments,
    SourceStatus,
    Surface,
    Tracks,
    Transform,
    results_of,
)


def plane(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.uint8)


def detections(count: int) -> Detections:
    boxes = np.tile(np.arange(count, dtype=np.float32)[:, None], (1, 4))
    return Detections.of(boxes, np.linspace(1, 0, count, dtype=np.float32), np.zeros(count, dtype=np.int32))


@pytest.mark.parametrize(
    ("pixel_format", "planes"),
    [
        ("yuv420p", (plane(3, 5), plane(2, 3), plane(2, 3))),
        ("nv12", (plane(3, 5), plane(2, 3, 2))),
        ("rgb24", (plane(3, 5, 3),)),
    ],
)
def test_a_surface_of_odd_size_is_taken_and_prints_no_pixels(pixel_format: str, planes: tuple[np.ndarray, ...]) -> None:
    surface = Surface(pixel_format, planes)
    assert (surface.width, surface.height) == (5, 3)
    assert surface.nbytes == sum(p.nbytes for p in planes)
    assert repr(surface) == f"Surface({pixel_format}, 5x3, bt601, limited)"


def test_planes_that_do_not_fit_are_refused_with_what_is_needed() -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\), \(1, 2\).*\(2, 3\)"):
        Surface("yuv420p", (plane(3, 5), plane(1, 2), plane(1, 2)))
    with pytest.raises(ValueError, match="one of yuv420p, nv12, rgb24"):
        Surface("bgr24", (plane(3, 5, 3),))  # type: ignore[arg-type]


def test_detections_slice_to_detections_with_every_column() -> None:
    some = replace(detections(4), coefficients=np.eye(4, dtype=np.float32))
    picked = some[np.array([True, False, True, False])]
    assert isinstance(picked, Detections)
    assert picked.boxes[:, 0].tolist() == [0, 2]
    assert picked.coefficients is not None
    assert picked.coefficients.shape == (2, 4)
    assert len(some[1:1]) == 0
    assert repr(picked) == ("Detections(boxes=[2, 4], scores=[2], labels=[2], raw_scores=[2], coefficients=[2, 4])")


def test_columns_of_unequal_length_are_refused_with_the_column() -> None:
    with pytest.raises(ValueError, match=r"Detections\.labels has shape \[1\]; \[2\] is needed"):
        replace(detections(2), labels=np.zeros(1, dtype=np.int32))
    with pytest.raises(ValueError, match=r"Detections\.boxes has shape \[2, 3\]; \[2, 4\] is needed"):
        replace(detections(2), boxes=np.zeros((2, 3), dtype=np.float32))


@pytest.mark.parametrize("kind", [Detections, Tracks, Segments])
def test_the_empty_case_is_ordinary(kind: type[Detections | Tracks | Segments]) -> None:
    empty = kind.empty()
    assert len(empty) == 0
    assert len(empty[np.zeros(0, dtype=bool)]) == 0


def test_a_panoptic_map_is_read_at_the_source_size_through_its_transform() -> None:
    ids = np.array([[1, 2], [3, 4]], dtype=np.uint16)
    full = PanopticMap(ids, Segments.empty(), Transform(scale_x=3, scale_y=2)).at_size(6, 4)
    assert full.tolist() == [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4], [3, 3, 3, 4, 4, 4]]
    with pytest.raises(ValueError, match=r"uint16 \[h, w\] is needed"):
        PanopticMap(ids.astype(np.int32), Segments.empty(), Transform())  # type: ignore[arg-type]


def test_a_transform_and_its_inverse_meet() -> None:
    transform = Transform(scale_x=2.5, scale_y=1.5, offset_x=-3, offset_y=7)
    boxes = np.array([[1, 2, 3, 4], [0, 0, 100, 50]], dtype=np.float32)
    np.testing.assert_allclose(transform.invert(transform.apply(boxes)), boxes, atol=1e-4)


def test_a_gap_that_ends_before_it_begins_is_refused() -> None:
    assert Gap("cam", 1, 3, 5, "late").count == 3
    with pytest.raises(ValueError, match="before first_seq 5"):
        Gap("cam", 1, 5, 4, "late")


def test_a_status_shows_what_is_unaccounted_for() -> None:
    status = SourceStatus("cam", "STREAMING", 1, captured=10, resulted=6, dropped={"late": 2}, in_flight=1)
    assert status.balance == 1


def test_results_carry_track_ids_into_the_segment_table() -> None:
    frame = Frame("cam", 1, 0, None, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (plane(2, 2, 3),)))
    segments = Segments(
        ids=np.array([1, 2, 3], np.int32),
        labels=np.array([0, 1, 0], np.int32),
        is_thing=np.array([True, False, True]),
        scores=np.ones(3, np.float32),
        areas=np.ones(3, np.int32),
        boxes=np.zeros((3, 4), np.float32),
        detection_index=np.array([1, -1, 0], np.int32),
        track_ids=np.full(3, NO_TRACK, np.int64),
    )
    tracks = Tracks(
        ids=np.array([7], np.int64),
        boxes=np.zeros((1, 4), np.float32),
        labels=np.zeros(1, np.int32),
        scores=np.ones(1, np.float32),
        states=np.ones(1, np.uint8),
        detection_index=np.array([1], np.int32),
    )
    panoptic = PanopticMap(np.array([[1, 2], [3, 0]], np.uint16), segments, Transform())
    batch = Batch((frame,), detections=(detections(2),), panoptic=(panoptic,), tracks=(tracks,))
    result = results_of(batch, classes=Classes(("person",), ("road",)), model=ModelInfo("m", "1"))[0]
    assert result.track_ids.tolist() == [NO_TRACK, 7]
    assert result.panoptic is not None
    assert result.panoptic.segments.track_ids.tolist() == [7, NO_TRACK, NO_TRACK]
    assert result.class_name(1) == "road"
    assert "array" not in repr(result)


def test_a_batch_with_a_field_of_another_length_is_refused() -> None:
    frame = Frame("cam", 1, 0, None, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (plane(2, 2, 3),)))
    with pytest.raises(ValueError, match=r"Batch\.detections has 2 entries for 1 frames"):
        Batch((frame,), detections=(detections(1), detections(1)))


def test_a_surface_on_a_device_is_of_tensors() -> None:
    planes = (torch.zeros(4, 6, dtype=torch.uint8), torch.zeros(2, 3, 2, dtype=torch.uint8))
    surface = DeviceSurface("nv12", planes, matrix="bt709", device="cpu")
    assert (surface.height, surface.width, surface.nbytes) == (4, 6, 36)
    assert repr(surface) == "DeviceSurface(nv12, 6x4, bt709, limited, cpu)"
    with pytest.raises(ValueError, match="nv12 have shapes"):
        DeviceSurface("nv12", (planes[0], planes[0]), device="cpu")
