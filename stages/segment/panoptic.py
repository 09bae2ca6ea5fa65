"""The panoptic merge stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import (
    Batch,
    Classes,
    Detections,
    Int32,
    LabelMap,
    PanopticMap,
    Prototypes,
    SemanticMap,
    Transform,
    UInt8,
)
from pipeline.stage import Field
from stages.segment.merge import channel_labels, label_pixels, merge_boxes, merge_prototypes

VOID = 255  # of a `LabelMap`
MOST_LABELS = 255
Rule = Literal["instances", "boxes"]
NEEDS: dict[Rule, frozenset[Field]] = {
    "instances": frozenset({"detections", "semantic", "prototypes"}),
    "boxes": frozenset({"detections", "semantic"}),
}
SCALES: dict[Rule, int] = {"instances": 2, "boxes": 1}


class PanopticMerge:
    """Makes each frame's panoptic map of its detections and semantic scores.

    ``instances`` is for networks with prototype masks, ``boxes`` for a detector beside a semantic network; `merge` has
    the rules. `semantic_labels` names, for each semantic channel, the label it stands for in `classes`, or None for
    void.

    The map is made at `scale` times the network's output scale, by default 2 for ``instances`` and 1 for ``boxes``,
    where that is finer. Interpolating shows outlines that the network knows and its grid does not: perfect scores at
    stride 4 of unseen street worlds (512x288) reach PQ 0.86 at 1, 0.89 at 2, 0.91 at 4, for 0.3, 0.8, 2.3 ms a frame.
    """

    name = "merge"
    stateful = False
    adds: frozenset[Field] = frozenset({"panoptic"})

    def __init__(
        self,
        *,
        classes: Classes,
        semantic_labels: Sequence[int | None],
        rule: Rule,
        scale: int | None = None,
        score_threshold: float = 0.4,
        max_overlap: float = 0.5,
        min_stuff_area: float = 0.002,
        leftover: Literal["void", "stuff"] = "void",
    ) -> None:
        if rule not in NEEDS:
            raise ValueError(f"rule is {rule!r}; one of {', '.join(NEEDS)} is needed")
        scale = SCALES[rule] if scale is None else scale
        if scale < 1:
            raise ValueError(f"scale is {scale}; a whole number from 1 is needed")
        self.classes = classes
        self.rule: Rule = rule
        self.needs = NEEDS[rule]
        self._labels = channel_labels(semantic_labels, classes, leftover=leftover if rule == "instances" else "void")
        self._label_of = label_table(self._labels)
        self._scale = scale
        self._options = {
            "score_threshold": score_threshold,
            "max_overlap": max_overlap,
            "min_stuff_area": min_stuff_area,
        }

    def __call__(self, batch: Batch) -> Batch:
        """The batch with a panoptic map a frame."""
        count = len(batch)
        columns = zip(
            batch.detections or (Detections.empty(),) * count,
            batch.semantic or (),
            batch.prototypes or (None,) * count,
            strict=True,
        )
        return batch.with_(panoptic=tuple(self._merge(*of_frame) for of_frame in columns))

    def _merge(
        self, detections: Detections, semantic: SemanticMap | LabelMap, prototypes: Prototypes | None
    ) -> PanopticMap:
        if isinstance(semantic, LabelMap):
            return self._merge_label_map(detections, semantic)
        if len(semantic.logits) != len(self._labels):
            raise ModelError(
                f"the semantic network gives {len(semantic.logits)} channels; {len(self._labels)} are named"
            )
        label_at = label_pixels(semantic, self._labels, scale=self._scale)
        if self.rule == "boxes" or prototypes is None:
            t = semantic.transform
            transform = Transform(t.scale_x / self._scale, t.scale_y / self._scale, t.offset_x, t.offset_y)
            return merge_boxes(detections, label_at, classes=self.classes, transform=transform, **self._options)
        if (prototypes.valid_height, prototypes.valid_width) != (semantic.valid_height, semantic.valid_width):
            raise ModelError(f"{prototypes!r} and {semantic!r} do not show the same pixels")
        return merge_prototypes(
            prototypes, detections, label_at, classes=self.classes, scale=self._scale, **self._options
        )

    def _merge_label_map(self, detections: Detections, found: LabelMap) -> PanopticMap:
        if self.rule != "boxes" or self._label_of is None:
            raise ModelError(
                f"{found!r}: only the rule 'boxes', with labels below {MOST_LABELS}, merges pixels that are labelled"
                " already"
            )
        # Its loops take seconds to compile where there is no cache yet; most networks give no such map.
        from stages.segment.merge_runs import merge_label_map

        return merge_label_map(detections, found, self._label_of, classes=self.classes, **self._options)


def label_table(labels: Int32) -> UInt8 | None:
    """The label of each channel that a `LabelMap` may hold [256], void for those that are not named.

    None where there are more channels or labels than such a map can hold.
    """
    if len(labels) > MOST_LABELS or labels.max(initial=0) >= MOST_LABELS:
        return None
    table = np.full(256, VOID, dtype=np.uint8)
    table[: len(labels)] = np.where(labels < 0, VOID, labels)
    return table
