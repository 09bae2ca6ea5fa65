"""The networks of transformers that are known, and what is made of what they give.

Detectors of the DETR family find each object once, so that nothing of theirs is suppressed. Panoptic networks give a
mask and a class for each query; beside a detector they are read as semantic ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from stages.models.zoo.model import Steady, TorchModel, best_candidates, named_columns, rows_of
from stages.models.zoo.transformers_folder import Folder, load_network, open_folder, picture_of

# Classes by ``model_type``.
DETECTORS: dict[str, str] = {
    "d_fine": "DFineForObjectDetection",
    "rt_detr": "RTDetrForObjectDetection",
    "rt_detr_v2": "RTDetrV2ForObjectDetection",
    "rf_detr": "RfDetrForObjectDetection",
}
PANOPTIC: dict[str, str] = {
    "eomt": "EomtForUniversalSegmentation",
    "mask2former": "Mask2FormerForUniversalSegmentation",
    "oneformer": "OneFormerForUniversalSegmentation",
}
SEMANTIC: dict[str, str] = {"segformer": "SegformerForSemanticSegmentation"}

DETECTOR_SIZE = (640, 640)
MASK_SIZE = (640, 640)
SEMANTIC_SIZE = (512, 512)
TASK = "the task is panoptic"


class Boxes(nn.Module):
    """A detector of the DETR family: the best of its queries and classes."""

    def __init__(self, network: Any, columns: Sequence[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.columns = Steady(torch.tensor(columns))
        self.scale = Steady(torch.tensor([*size, *size]))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """``boxes`` [N, Q, 4], ``scores`` and ``labels`` [N, Q]."""
        found = self.network(pixel_values=pictures)
        scores = found.logits.float().sigmoid()[..., self.columns.values.long()]
        rows, labels, best = best_candidates(scores, found.logits.shape[1])
        relative = rows_of(found.pred_boxes, rows)
        centre, half = relative[..., :2], relative[..., 2:] / 2
        boxes = torch.cat([centre - half, centre + half], dim=2) * self.scale.values
        return {"boxes": boxes, "scores": best, "labels": labels}


class Queries(nn.Module):
    """A panoptic network: ``masks`` [N, Q, h, w] and ``classes`` [N, Q, C + 1], things first."""

    def __init__(self, network: Any, columns: Sequence[int], task: Tensor | None) -> None:
        """`task`: what OneFormer is told, [1, T]."""
        super().__init__()
        self.network = network
        self.columns = Steady(torch.tensor(columns))
        self.task = None if task is None else Steady(task)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        more = {} if self.task is None else {"task_inputs": self.task.values.expand(len(pictures), -1)}
        found = self.network(pixel_values=pictures, **more)
        classes = found.class_queries_logits[..., self.columns.values.long()]
        return {"masks": found.masks_queries_logits, "classes": classes}


class QueriesAsSemantic(nn.Module):
    """A panoptic network read as a semantic one: ``logits`` [N, C, h, w], what the queries' masks say together."""

    def __init__(self, queries: Queries) -> None:
        super().__init__()
        self.queries = queries

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        found = self.queries(pictures)
        classes = found["classes"].float().softmax(dim=-1)[..., :-1]  # [N, Q, C]
        return {"logits": torch.einsum("nqc,nqhw->nchw", classes, found["masks"].float().sigmoid())}


class Logits(nn.Module):
    """A semantic network: ``logits`` [N, S, h, w]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return {"logits": self.network(pixel_values=pictures).logits}


def transformers_detector(
    where: str,
    *,
    sha256: str | None,
    offline: bool,
    class_names: Sequence[str] | None,
    size: tuple[int, int] | None,
) -> TorchModel:
    """A detector, or a panoptic network to find things with. Raises `ModelError`, `ConfigError`."""
    folder = open_folder(where, offline=offline)
    if folder.kind in PANOPTIC:
        return _panoptic(folder, sha256=sha256, class_names=class_names, size=size)
    if folder.kind not in DETECTORS:
        raise _unknown(folder, {**DETECTORS, **PANOPTIC}, "detector")
    network, version = load_network(folder, DETECTORS[folder.kind], sha256=sha256)
    picture = picture_of(folder, fit="stretch", normalised=folder.kind == "rf_detr", usual=DETECTOR_SIZE, size=size)
    columns, names = named_columns(_named(folder, class_names))
    return TorchModel(
        name=folder.name,
        version=version,
        module=Boxes(network, columns, (picture.width, picture.height)),
        picture=picture,
        names=names,
        overlaps=False,
    )


def transformers_segmenter(
    where: str,
    *,
    sha256: str | None,
    offline: bool,
    class_names: Sequence[str] | None,
    size: tuple[int, int] | None,
) -> TorchModel:
    """A semantic network, or a panoptic one read as such. Raises `ModelError`, `ConfigError`."""
    folder = open_folder(where, offline=offline)
    if folder.kind in PANOPTIC:
        model = _panoptic(folder, sha256=sha256, class_names=class_names, size=size)
        assert isinstance(model.module, Queries)
        return TorchModel(
            name=model.name,
            version=model.version,
            module=QueriesAsSemantic(model.module),
            picture=model.picture,
            names=model.names,
            static=model.static,
            usual_precision=model.usual_precision,
            gives="semantic",
        )
    if folder.kind not in SEMANTIC:
        raise _unknown(folder, {**SEMANTIC, **PANOPTIC}, "segmenter")
    network, version = load_network(folder, SEMANTIC[folder.kind], sha256=sha256)
    return TorchModel(
        name=folder.name,
        version=version,
        module=Logits(network),
        picture=picture_of(folder, fit="stretch", normalised=True, usual=SEMANTIC_SIZE, size=size),
        names=_named(folder, class_names),
        gives="semantic",
    )


def _panoptic(
    folder: Folder, *, sha256: str | None, class_names: Sequence[str] | None, size: tuple[int, int] | None
) -> TorchModel:
    from stages.models.zoo.things import things_first

    network, version = load_network(folder, PANOPTIC[folder.kind], sha256=sha256)
    if folder.kind == "eomt":
        _keep_on_the_host(network, "attn_mask_probs")  # it decides in each layer whether to mask
    names = _named(folder, class_names)
    order = things_first(names)
    return TorchModel(
        name=folder.name,
        version=version,
        module=Queries(network, (*order, len(names)), _task(folder) if folder.kind == "oneformer" else None),
        picture=picture_of(folder, fit="corner", normalised=True, usual=MASK_SIZE, size=size),
        names=tuple(names[i] for i in order),
        static=folder.kind != "oneformer",  # it looks up which masks are empty
        # Activations of large vision transformers leave the range of fp16; OneFormer's task is told in numbers that
        # neither holds.
        usual_precision="f32" if folder.kind == "oneformer" else "bf16",
        gives="panoptic",
    )


def _keep_on_the_host(network: nn.Module, name: str) -> None:
    """Numbers of a network as such, where it asks the device for them in each pass; another version may not."""
    values = dict(network.named_buffers(recurse=False)).get(name)
    if values is not None:
        delattr(network, name)
        setattr(network, name, values.tolist())


def _task(folder: Folder) -> Tensor:
    """The numbers that OneFormer is told its task by, [1, T]. Raises `ModelError`."""
    from transformers import AutoTokenizer

    if not any(
        (folder.path / name).is_file() for name in ("tokenizer.json", "vocab.json")
    ):  # else an empty one is made
        raise ModelError(
            f"{folder.path}: OneFormer needs its tokenizer's files beside it: tokenizer.json or vocab.json"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
        length = folder.config.task_seq_len
        told = tokenizer(TASK, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    except Exception as exc:
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        raise ModelError(f"{folder.path}: its tokenizer's files cannot be read: {lines[0][:200]}") from exc
    mask: Tensor = told["attention_mask"]
    numbers: Tensor = told["input_ids"] * mask
    return numbers


def _named(folder: Folder, class_names: Sequence[str] | None) -> tuple[str, ...]:
    if class_names is None:
        return folder.names
    if len(class_names) != len(folder.names):
        raise ModelError(f"{folder.name}: {len(class_names)} class names given; it scores {len(folder.names)} classes")
    return tuple(class_names)


def _unknown(folder: Folder, known: dict[str, str], role: str) -> ModelError:
    return ModelError(
        f"transformers:{folder.name} is of the type {folder.kind!r}; as a {role}, {', '.join(known)} are known"
    )
