"""The networks that streams are analysed by: real architectures with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.build import build_graph
from pipeline.config import check, parse
from pipeline.graph import Graph
from stages.detect.coco import COCO_CLASSES
from tests.benchmarks.panoptic import outputs
from tests.benchmarks.timing import Device

DRAWN = 4  # streets that are drawn; each stands in several places of a batch


def network(kind: str, folder: Path) -> str:
    """A folder with a network of the real architecture and random weights."""
    import transformers as t

    named = COCO_CLASSES if kind == "detector" else (*COCO_CLASSES, *(f"stuff {i}" for i in range(53)))
    names = dict(enumerate(named))
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    if kind == "detector":
        made: Any = t.RTDetrV2ForObjectDetection(t.RTDetrV2Config(**labels))
    else:
        small = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 640}
        made = t.EomtForUniversalSegmentation(t.EomtConfig(num_queries=200, **small, **labels))
        made.attn_mask_probs.zero_()  # as it is in networks that were trained to the end
    made.eval().save_pretrained(folder)
    return f"transformers:{folder}"


def graph_of(kind: str, model: str, device: Device, *, max_batch: int) -> Graph:
    """What a run would build."""
    detector = {"model": model} | ({"score_threshold": 0.0} if kind == "detector" else {})
    settings = {"sources": ["a=a.mp4"], "publish": {"bind": None}, "offline": True, "device": device}
    suppress = {"max_detections": 20, "score_threshold": 0.001}
    batch = {"max_batch": max_batch}
    config = check(parse({**settings, "detector": detector, "suppress": suppress, "batch": batch}))
    graph = build_graph(config)
    if kind == "panoptic":
        draw(graph, max_batch, device)
    graph.warm_up(lambda text: print(f"  {kind}: {text}"))
    return graph


def draw(graph: Graph, count: int, device: Device) -> None:
    """Have a panoptic network give masks of drawn streets, once it has computed its own."""
    import torch

    from stages.on_device import OnDevice

    (stage,) = (one for one in graph.stages if isinstance(one, OnDevice))
    prepared = stage._detector._buckets._module
    assert prepared is not None
    drawn, computed = outputs(DRAWN), prepared.network
    again = [row % DRAWN for row in range(count)]
    masks, classes = (one.to(device, prepared.dtype)[again] for one in (drawn.masks, drawn.chances))

    class Drawn(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
            found = computed(pictures)
            assert (found["masks"].shape[1:], found["classes"].shape[1:]) == (masks.shape[1:], classes.shape[1:])
            return {"masks": masks[: len(pictures)], "classes": classes[: len(pictures)]}

    prepared.network = Drawn()
