"""torchvision's detectors, up to their candidates: what comes after (suppression) is ours.

The two-stage ones keep the suppression of their proposals, which is part of the network; the one at the end is left
out. The masks of Mask R-CNN are made for the boxes that our suppression keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.models.backend import Normalisation
from stages.models.preprocess import Fit, InputSpec
from stages.models.zoo.model import Select, Steady, TorchModel, best_candidates, named_columns, rows_of
from stages.models.zoo.torchvision_models import Loaded, load

CANDIDATES = 1000  # of a dense detector; of more, suppression would look at the best 1000 only
MASKED = 100  # boxes of a picture that get a mask
PYRAMID_SIZE = (1344, 768)  # 1333 wide, as they were trained, and whole cells of the coarsest level

Outputs = dict[str, Tensor]
Make = Callable[[Any, Sequence[int], tuple[int, int], Select], nn.Module]


class Dense(nn.Module):
    """SSD, RetinaNet, FCOS: scores and box corrections of fixed anchors."""

    def __init__(self, network: Any, columns: Sequence[int], size: tuple[int, int], select: Select) -> None:
        """`size`: width and height of the picture. `columns`: scores that have a meaning."""
        super().__init__()
        del select
        self.network = network
        self.columns = Steady(torch.tensor(columns))
        self.size = size
        picture = torch.zeros(1, 3, size[1], size[0])
        with torch.inference_mode():
            features = list(network.backbone(picture).values())
            (anchors,) = network.anchor_generator(_images(picture), features)
        self.anchors = Steady(anchors.clone())

    def forward(self, pictures: Tensor) -> Outputs:
        """``boxes`` [N, K, 4], ``scores`` and ``labels`` [N, K]."""
        found = self.network.head(list(self.network.backbone(pictures).values()))
        scores = self.scores(found)[..., self.columns.values.long()]
        rows, labels, best = best_candidates(scores, CANDIDATES)
        boxes = self.decoded(rows_of(found["bbox_regression"], rows), self.anchors.values[rows])
        return {"boxes": boxes, "scores": best, "labels": labels}

    def scores(self, found: Outputs) -> Tensor:
        """Scores [N, A, C] of the head's outputs."""
        return found["cls_logits"].float().sigmoid()

    def decoded(self, corrections: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [N, K, 4]."""
        boxes: Tensor = self.network.box_coder.decode_single(corrections.flatten(0, 1), anchors.flatten(0, 1))
        return boxes.view_as(corrections)


class Ssd(Dense):
    """SSD and SSDlite: one class of each anchor, background among them."""

    def scores(self, found: Outputs) -> Tensor:
        return found["cls_logits"].float().softmax(dim=-1)


class Fcos(Dense):
    """FCOS: the score is weighed by how central the cell is in its box."""

    def scores(self, found: Outputs) -> Tensor:
        return (found["cls_logits"].float().sigmoid() * found["bbox_ctrness"].float().sigmoid()).sqrt()

    def decoded(self, corrections: Tensor, anchors: Tensor) -> Tensor:
        boxes: Tensor = self.network.box_coder.decode(corrections.flatten(0, 1), anchors.flatten(0, 1))
        return boxes.view_as(corrections)


class TwoStage(nn.Module):
    """Faster R-CNN: a class and a box of each proposal."""

    def __init__(self, network: Any, columns: Sequence[int], size: tuple[int, int], select: Select) -> None:
        super().__init__()
        self.network = network
        self.columns = Steady(torch.tensor(columns))
        self.select = select

    def forward(self, pictures: Tensor) -> Outputs:
        """``boxes`` [N, K, 4], ``scores`` and ``labels`` [N, K], padded with scores of 0."""
        return _stacked([found for found, _ in self._found(pictures)], CANDIDATES)

    def _found(self, pictures: Tensor) -> list[tuple[Outputs, Any]]:
        """Candidates of each picture, and the pyramid they come from."""
        features = self.network.backbone(pictures)
        sizes = [(int(pictures.shape[2]), int(pictures.shape[3]))] * len(pictures)
        proposals, _ = self.network.rpn(_images(pictures), features)
        heads = self.network.roi_heads
        logits, corrections = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, proposals, sizes)))
        counts = [len(one) for one in proposals]
        columns = self.columns.values.long()
        scores = logits.float().softmax(dim=-1)[:, columns].split(counts)
        boxes = heads.box_coder.decode(corrections.float(), [one.float() for one in proposals])[:, columns]
        return [(_best_of(*one), features) for one in zip(boxes.split(counts), scores, strict=True)]


class TwoStageMasks(TwoStage):
    """Mask R-CNN: with ``masks`` [N, K, M * M], probabilities inside each box, of the boxes that are kept."""

    def forward(self, pictures: Tensor) -> Outputs:
        found = self._found(pictures)
        kept = [self._kept(one) for one, _ in found]
        heads = self.network.roi_heads
        sizes = [(int(pictures.shape[2]), int(pictures.shape[3]))] * len(pictures)
        boxes = [one["boxes"].to(pictures.dtype) for one in kept]
        pooled = heads.mask_roi_pool(found[0][1], boxes, sizes)
        logits = heads.mask_predictor(heads.mask_head(pooled)).float()  # [sum K, classes, M, M]
        classes = self.columns.values.long()[torch.cat([one["labels"] for one in kept])]
        chosen = logits[torch.arange(len(logits), device=logits.device), classes].sigmoid().flatten(1)
        for one, masks in zip(kept, chosen.split([len(one["boxes"]) for one in kept]), strict=True):
            one["masks"] = masks
        return _stacked(kept, MASKED)

    def _kept(self, found: Outputs) -> Outputs:
        arrays = (found[name].cpu().numpy() for name in ("boxes", "scores", "labels"))
        boxes, scores, labels = arrays
        rows = self.select(boxes, scores, labels.astype(np.int32))[:MASKED]
        index = torch.as_tensor(np.ascontiguousarray(rows), device=found["boxes"].device)
        return {name: values[index] for name, values in found.items()}


def _best_of(boxes: Tensor, scores: Tensor) -> Outputs:
    """The best candidates of one picture's boxes [P, C, 4] and scores [P, C]."""
    rows, labels, best = (one[0] for one in best_candidates(scores[None], CANDIDATES))
    return {"boxes": boxes[rows, labels], "scores": best, "labels": labels}


def _stacked(found: Sequence[Outputs], most: int) -> Outputs:
    """Pictures' outputs as one, each padded to `most` rows with zeros."""
    return {name: torch.stack([_padded(one[name].float(), most) for one in found]) for name in found[0]}


def _padded(values: Tensor, most: int) -> Tensor:
    padded = values.new_zeros((most, *values.shape[1:]))
    padded[: len(values)] = values
    return padded


def _images(pictures: Tensor) -> Any:
    from torchvision.models.detection.image_list import ImageList

    return ImageList(pictures, [(int(pictures.shape[2]), int(pictures.shape[3]))] * len(pictures))


# What `--detector torchvision:NAME` may name.
DETECTORS: dict[str, Make] = {
    "fasterrcnn_resnet50_fpn": TwoStage,
    "fasterrcnn_resnet50_fpn_v2": TwoStage,
    "fasterrcnn_mobilenet_v3_large_fpn": TwoStage,
    "fasterrcnn_mobilenet_v3_large_320_fpn": TwoStage,
    "maskrcnn_resnet50_fpn": TwoStageMasks,
    "maskrcnn_resnet50_fpn_v2": TwoStageMasks,
    "retinanet_resnet50_fpn": Dense,
    "retinanet_resnet50_fpn_v2": Dense,
    "fcos_resnet50_fpn": Fcos,
    "ssd300_vgg16": Ssd,
    "ssdlite320_mobilenet_v3_large": Ssd,
}
_SMALL = {"fasterrcnn_mobilenet_v3_large_320_fpn": (640, 384)}


def torchvision_detector(
    name: str,
    *,
    weights: str | None,
    sha256: str | None,
    offline: bool,
    class_names: Sequence[str] | None,
    size: tuple[int, int] | None,
    select: Select,
) -> TorchModel:
    """A detector of torchvision; `size` is the width and height of its picture. Raises `ModelError`."""
    loaded = load(name, weights=weights, sha256=sha256, offline=offline, class_names=class_names, background=True)
    columns, names = named_columns(loaded.names)
    picture = _picture(name, loaded, size)
    make = DETECTORS[name]
    two_stage = make in (TwoStage, TwoStageMasks)
    return TorchModel(
        name=name,
        version=loaded.version,
        module=make(loaded.network, columns, (picture.width, picture.height), select),
        picture=picture,
        names=names,
        static=not two_stage,
        gives="box masks" if make is TwoStageMasks else "boxes",
        # Proposals are placed in the network's own arithmetic, and half a float is a pixel past 1024.
        usual_precision="f32" if two_stage else "fp16",
    )


def _picture(name: str, loaded: Loaded, size: tuple[int, int] | None) -> InputSpec:
    transform = loaded.network.transform
    fixed = transform.fixed_size  # width, height
    width, height = size or fixed or _SMALL.get(name, PYRAMID_SIZE)
    fit: Fit = "stretch" if fixed else "corner"
    mean, deviation = ([255.0 * level for level in levels] for levels in (transform.image_mean, transform.image_std))
    # They pad with zeros after normalising: a picture of the mean level.
    padding = round(sum(mean) / 3)
    return InputSpec(
        width=width,
        height=height,
        colours="rgb",
        fit=fit,
        padding=padding,
        normalise=Normalisation((mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2])),
    )
