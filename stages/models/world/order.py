"""In which order to paint things that stand on the ground, so that the nearer hides the farther."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.models.world.camera import Floats

_TOUCH_METRES = 0.05


def back_to_front(footprints: Floats, eye: Floats) -> list[int]:
    """The painter's order of upright things with convex, disjoint footprints [n, 4, 2] seen from `eye` [2].

    If a line along an edge of one footprint has the other beyond it, the eye's side of the line decides which of the
    two cannot hide the other.  What is left undecided (footprints that overlap) goes by distance.
    """
    if not len(footprints):
        return []
    distance = np.hypot(*(footprints.mean(axis=1) - eye).T)
    hides = _may_hide(footprints, eye)
    before = hides.T & ~hides  # before[a, b]: a is painted before b, since b may hide a and not the other way round
    waits_for = [np.flatnonzero(before[:, each]).tolist() for each in range(len(footprints))]
    done: set[int] = set()
    order: list[int] = []

    def visit(each: int) -> None:
        if each in done:
            return
        done.add(each)
        for other in sorted(waits_for[each], key=lambda index: -distance[index]):
            visit(other)
        order.append(each)

    for each in np.argsort(-distance, kind="stable").tolist():
        visit(each)
    return order


def _may_hide(footprints: Floats, eye: Floats) -> NDArray[np.bool_]:
    """may_hide[a, b]: no edge line proves that a cannot stand between the eye and b.  [n, n]"""
    edges = np.roll(footprints, -1, axis=1) - footprints
    normals = np.stack([edges[..., 1], -edges[..., 0]], axis=-1)  # outward for counter-clockwise corners
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    offsets = (normals * footprints).sum(axis=-1)  # [n, 4]
    # outside[a, b, e]: all corners of a lie beyond edge e of b
    reach = np.einsum("bek,ack->abec", normals, footprints).min(axis=-1) - offsets[None]
    outside = reach > -_TOUCH_METRES
    eye_outside = (normals @ eye) - offsets > 0  # [n, 4] of b
    cannot_a = (outside & ~eye_outside[None]).any(axis=-1)  # the eye is on b's side: a cannot hide b
    cannot_b = (outside & eye_outside[None]).any(axis=-1)  # the eye is on a's side: b cannot hide a
    may: NDArray[np.bool_] = ~(cannot_a | cannot_b.T)
    np.fill_diagonal(may, False)
    return may
