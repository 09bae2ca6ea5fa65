"""What several looks at one frame agree on: a frame and its mirror image, and several teachers.

Sources: boxes of several looks joined by their scores, Solovyev et al. 2019, "Weighted boxes fusion"
(arXiv:1910.13302); what a network says of a picture and of its mirror image as a measure of how far to trust it, Jeong
et al. 2019, "Consistency-based semi-supervised learning for object detection".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.adaptation.found import Found, pairs
from stages.models.overlap import overlaps

Merge = Literal["fusion", "agreement"]
SAME_OBJECT = 0.5  # IoU from which two looks show one object
SAME_PLACE = 0.7  # IoU from which boxes of two classes do


def agreed_by_mirror(plain: Found, other: Found, *, iou: float = SAME_OBJECT) -> Found:
    """One teacher's two looks at a frame as one.

    A box that both show is their mean, agreed, its score the mean of theirs. One that a single look shows stays as it
    is, and is not agreed.

    Args:
        plain: what was found in the frame.
        other: what was found in its mirror image, in pixels of the frame itself (see `mirrored`).
        iou: overlap from which two boxes of a class show one object.
    """
    partner = pairs(plain, other, iou=iou)
    both = partner >= 0
    alone = np.setdiff1d(np.arange(len(other)), partner[both])
    joined, of_other = plain[both], other[partner[both]]
    return Found(
        np.concatenate([(joined.boxes + of_other.boxes) / 2, plain.boxes[~both], other.boxes[alone]]),
        np.concatenate([(joined.scores + of_other.scores) / 2, plain.scores[~both], other.scores[alone]]),
        np.concatenate([joined.labels, plain.labels[~both], other.labels[alone]]),
        np.arange(len(plain) + len(alone)) < int(both.sum()),
    )


def merged(
    looks: Sequence[Found], knows: NDArray[np.bool_], *, merge: Merge = "fusion", iou: float = SAME_OBJECT
) -> Found:
    """What several teachers found in a frame as one.

    A box is the mean of theirs, weighed by score; its score is the sum of theirs over the number of teachers that know
    its class, so that one which half of them miss scores half. It is agreed by ``fusion`` where any teacher's two looks
    agree on it, by ``agreement`` where those of every teacher do that knows the class.

    Args:
        looks: of each teacher, from `agreed_by_mirror`.
        knows: [teachers, things], which classes each teacher knows.
        merge: what makes a box agreed.
        iou: overlap from which two boxes of a class show one object.
    """
    if len(looks) == 1:
        return looks[0]
    groups = _groups(looks, iou=iou)
    if not groups:
        return Found.empty()
    boxes, scores, labels, agreed = [], [], [], []
    for rows in groups:
        weights = np.array([looks[t].scores[row] for t, row in rows])
        parts = np.stack([looks[t].boxes[row] for t, row in rows])
        label = int(looks[rows[0][0]].labels[rows[0][1]])
        knowing = max(int(knows[:, label].sum()), len(rows))
        sure = sum(bool(looks[t].agreed[row]) for t, row in rows)
        boxes.append((parts * weights[:, None]).sum(0) / weights.sum())
        scores.append(float(weights.sum()) / knowing)
        labels.append(label)
        agreed.append(sure == knowing if merge == "agreement" else sure > 0)
    return Found.of(np.stack(boxes).astype(np.float32), scores, labels, agreed)


def without_rivals(found: Found, *, iou: float = SAME_PLACE) -> Found:
    """The same boxes; of those of several classes at one place only the best stays agreed: an object has one class.

    Args:
        found: from `merged`.
        iou: overlap from which two boxes of different classes show one object.
    """
    rivals = (overlaps(found.boxes, found.boxes) >= iou) & (found.labels[:, None] != found.labels[None])
    order = np.argsort(np.argsort(-found.scores, kind="stable"))  # 0 is the best
    beaten = (rivals & (order[:, None] > order[None])).any(1)
    return Found(found.boxes, found.scores, found.labels, found.agreed & ~beaten)


def _groups(looks: Sequence[Found], *, iou: float) -> list[list[tuple[int, int]]]:
    """Boxes that show one object, as (teacher, row), the best first; at most one of each teacher."""
    every = [(float(look.scores[row]), t, row) for t, look in enumerate(looks) for row in range(len(look))]
    groups: list[list[tuple[int, int]]] = []
    for _, t, row in sorted(every, key=lambda one: (-one[0], one[1], one[2])):
        best, found = iou, None
        for group in groups:
            first, first_row = group[0]
            if looks[first].labels[first_row] != looks[t].labels[row] or any(t == other for other, _ in group):
                continue
            box = looks[first].boxes[first_row][None]
            shared = float(overlaps(box, looks[t].boxes[row][None])[0, 0])
            if shared >= best:
                best, found = shared, group
        if found is None:
            groups.append([(t, row)])
        else:
            found.append((t, row))
    return groups
