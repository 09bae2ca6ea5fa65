"""Device kernels: each against the loop or the operators a user would write in torch.

``python -m tests.benchmarks.device --device cpu|cuda`` prints the table. On a CPU ours are the compiled loops that run
there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.messages import Batch, Classes, Detections, Surface, Transform
from stages.detect.zoo import detect_with
from stages.models.backend import Normalisation
from stages.models.letterbox import letterbox
from stages.models.preprocess import InputSpec, colour_matrix
from stages.segment import PanopticMerge, batched
from stages.segment.merge import merge_instances
from stages.segment.run_lengths import runs_of
from stages.segment.zoo import segment_with
from stages.suppress import Suppress, suppress
from stages.suppress.batched import suppress_batch
from stages.together import Together
from stages.zoo_on_device import zoo_on_device
from tests.benchmarks.softnms import FRAMES, OPTIONS, scene
from tests.benchmarks.streets import street
from tests.benchmarks.table import Row
from tests.benchmarks.timing import Device, fastest_ms, main, replayed, row
from tests.stages.cells import Brightness, Cells, machine, network, through
from tests.stages.cells import frame as frame_of

IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))
SPEC = InputSpec(width=640, height=640, colours="rgb", fit="corner", normalise=IMAGENET)
CLASSES = Classes(tuple(f"thing {i}" for i in range(80)), tuple(f"stuff {i}" for i in range(53)))
INSTANCES, MAP, MERGED = 100, (270, 480), 8


def soft_nms(device: Device) -> Row:
    """Gaussian soft-NMS of a batch; theirs a step at a time, a frame at a time."""
    scenes = [scene(np.random.default_rng(seed)) for seed in range(FRAMES)]
    boxes, scores, labels = (torch.from_numpy(np.stack(column)).to(device) for column in zip(*scenes, strict=True))
    ours = replayed(lambda: suppress_batch(boxes, scores, labels, **OPTIONS), device=device)
    if device == "cpu":

        def ours() -> Any:
            return [suppress(*one, **OPTIONS) for one in scenes]

    def theirs() -> None:
        for frame in range(FRAMES):
            soft_nms_loop(boxes[frame], scores[frame])

    times = [fastest_ms(work, device=device, rounds=rounds) for work, rounds in ((ours, 20), (theirs, 2))]
    return row(f"gaussian soft-NMS, {FRAMES} × {boxes.shape[1]} boxes, against a torch loop", *times)


def soft_nms_loop(boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Soft-NMS of one class as it is usually written: the best is looked up on the host in each step."""
    from torchvision.ops import box_iou

    left, kept = scores.clone(), []
    for _ in range(len(scores)):
        best = int(left.argmax())
        if left[best] <= 0:
            break
        kept.append(best)
        iou = box_iou(boxes[best : best + 1], boxes)[0]
        left = left * torch.exp(-iou * iou / OPTIONS["sigma"])
        left[kept] = 0
    return left


def preprocess(device: Device) -> Row:
    """One 1080p NV12 surface into a batch; theirs makes an RGB picture of it first."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(16, 235, (1080, 1920), dtype=torch.uint8, generator=generator).to(device)
    uv = torch.randint(16, 240, (540, 960, 2), dtype=torch.uint8, generator=generator).to(device)
    batch = torch.empty((1, 3, SPEC.height, SPEC.width), dtype=torch.float32, device=device)
    matrix = torch.from_numpy(colour_matrix("bt709", "limited", "rgb")).to(device)
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None] for values in (IMAGENET.mean, IMAGENET.deviation)
    )

    def theirs() -> None:
        chroma = F.interpolate(uv.permute(2, 0, 1)[None].float(), size=(1080, 1920), mode="bilinear")[0]
        yuv = torch.cat([y[None].float(), chroma, torch.ones_like(chroma[:1])])
        rgb = torch.einsum("ck,khw->chw", matrix, yuv).clamp(0, 255)
        small = F.interpolate(rgb[None], size=(360, 640), mode="bilinear", antialias=True)[0]
        batch[0, :, 360:] = (114.0 - mean) / deviation
        batch[0, :, :360] = (small - mean) / deviation

    ours = replayed(lambda: letterbox((y, uv), batch[0], SPEC, matrix="bt709", levels="limited"), device=device)
    times = [fastest_ms(work, device=device, rounds=10) for work in (ours, theirs)]
    return row("1080p NV12 to a 640×640 input, against torch operators", *times)


def merge(device: Device) -> Row:
    """Panoptic FPN's rule; theirs asks the device about each instance."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.arange(MAP[0])[:, None], torch.arange(MAP[1])
    centres = torch.rand((MERGED, INSTANCES, 2, 1, 1), generator=generator) * torch.tensor(MAP).view(1, 1, 2, 1, 1)
    masks = ((rows - centres[:, :, 0]) ** 2 + (columns - centres[:, :, 1]) ** 2 < 30**2).to(device)
    scores = torch.rand((MERGED, INSTANCES), generator=generator).to(device)
    labels = torch.randint(0, 80, (MERGED, INSTANCES), generator=generator).to(device)
    label_at = torch.randint(80, 133, (MERGED, 9, 16), generator=generator)
    label_at = label_at.repeat_interleave(30, 1).repeat_interleave(30, 2).to(device)

    def theirs() -> None:
        for frame in range(MERGED):
            merge_loop(masks[frame], scores[frame], label_at[frame])

    if device == "cuda":
        given = masks, scores, labels, label_at
        ours = replayed(lambda: batched.merge_masks(*given, classes=CLASSES), device=device)
    else:
        none = torch.zeros(INSTANCES, 4).numpy()
        frames = [
            (
                masks[i].numpy(),
                Detections.of(none, scores[i].numpy(), labels[i].int().numpy()),
                label_at[i].int().numpy(),
            )
            for i in range(MERGED)
        ]

        def ours() -> Any:
            return [merge_instances(*one, classes=CLASSES, transform=Transform()) for one in frames]

    times = [fastest_ms(work, device=device, rounds=rounds) / MERGED for work, rounds in ((ours, 10), (theirs, 2))]
    return row(f"{INSTANCES} instance masks of 480×270 and stuff, against a torch loop", *times, unit="ms/frame")


def merge_loop(masks: torch.Tensor, scores: torch.Tensor, label_at: torch.Tensor) -> torch.Tensor:
    """The rule as Detectron2 writes it (`combine_semantic_and_instance_outputs`)."""
    panoptic = torch.zeros_like(label_at)
    new = 0
    for n in torch.argsort(-scores):
        if scores[n].item() < 0.4:
            break
        area = masks[n].sum().item()
        if area == 0:
            continue
        taken = (masks[n] & (panoptic > 0)).sum().item()
        if taken / area > 0.5:
            continue
        new += 1
        panoptic[masks[n] & (panoptic == 0)] = new
    for label in torch.unique(label_at).cpu().tolist():
        free = (label_at == label) & (panoptic == 0)
        if free.sum().item() >= 0.002 * label_at.numel():
            new += 1
            panoptic[free] = new
    return panoptic


def runs(device: Device) -> Row:
    """Eight 1080p maps as runs on the host; theirs copies the maps and looks for the runs there."""
    from pipeline.wire.idmap import runs_of as host_runs_of

    maps = torch.from_numpy(np.stack([street((1080, 1920), seed=seed).astype(np.int32) for seed in range(MERGED)]))
    maps = maps.to(device)

    def ours() -> None:
        found = runs_of(maps)
        for column in (found.lengths, found.values, found.offsets):
            column.cpu()

    def theirs() -> None:
        for ids in maps.short().cpu().numpy().view(np.uint16):
            host_runs_of(ids)

    times = [fastest_ms(work, device=device, rounds=10) / MERGED for work in (ours, theirs)]
    return row("run lengths of 1080p maps, against those of the copied map", *times, unit="ms/frame")


def paths(device: Device) -> Row:
    """Decoded frames to boxes and panoptic maps around networks that cost little: the path taken, against the other."""
    batch = Batch(tuple(frame_of(seq, decoded(seq)) for seq in range(4)))
    there = machine(torch.device("cuda:0" if device == "cuda" else "cpu"))
    config = DetectorConfig(model="torchvision:cells", score_threshold=0.3, threads=1)
    beside = SegmenterConfig(model="torchvision:brightness", threads=1)
    levels, options = ("dark", "middling", "bright"), SuppressConfig()
    whole, classes = zoo_on_device(
        network(Cells(), "corner", names=("a", "b")),
        config,
        there,
        suppress=options,
        beside=network(Brightness(), "corner", names=levels, gives="semantic"),
        segmenter=beside,
    )
    found = network(Cells(), "corner", names=("a", "b"))
    semantic = segment_with(network(Brightness(), "corner", names=levels, gives="semantic"), beside, there)
    labels = list(range(2, 5))
    apart: list[Any] = [
        Together([detect_with(found, config, there), semantic]),
        Suppress(options),
        PanopticMerge(classes=classes, semantic_labels=labels, rule="boxes"),
    ]
    works = [lambda: whole(batch), lambda: through(apart, batch.frames)]
    ours, theirs = works if device == "cuda" else works[::-1]
    times = [fastest_ms(work, device=device, rounds=10) / len(batch) for work in (ours, theirs)]
    names = ("on the host", "on the device")
    taken, other = names[::-1] if device == "cuda" else names
    return row(f"1080p frames to boxes and maps {taken}, against {other}", *times, unit="ms/frame")


def decoded(seed: int) -> Surface:
    """A 1080p surface as a CPU decodes it."""
    random = np.random.default_rng(seed)
    luma = random.integers(16, 235, (68, 120), dtype=np.uint8).repeat(16, 0).repeat(16, 1)[:1080]
    chroma = [random.integers(16, 240, (540, 960), dtype=np.uint8) for _ in range(2)]
    return Surface("yuv420p", (luma, *chroma), matrix="bt709")


def run(device: Device = "cpu") -> list[Row]:
    """All rows; surfaces and maps that are on the host already have benchmarks of their own (preprocess, idmap)."""
    parts = (soft_nms, merge, paths) + ((preprocess, runs) if device == "cuda" else ())
    return [part(device) for part in parts]


if __name__ == "__main__":
    main(run, __doc__)
