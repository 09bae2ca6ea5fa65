"""The loop a user would write with `transformers`: a clip decoded on the CPU, the network given a picture at a time.

``python -m tests.benchmarks streams --device cuda`` holds it against ours. Pictures are read by OpenCV, which decodes
with FFmpeg on as many threads as it likes, made into tensors by the network's own image processor (the fast one), and
what the network gives goes through `transformers`' own post-processing. fp16 or bf16, as ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tests.benchmarks.timing import Device, wait_for

Loop = Callable[[npt.NDArray[np.uint8]], Any]


def pictures_of(clip: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """RGB pictures [H, W, 3], again and again."""
    while True:
        capture, found = cv2.VideoCapture(str(clip)), 0
        while True:
            good, picture = capture.read()
            if not good:
                break
            found += 1
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        if not found:
            raise RuntimeError(f"{clip}: OpenCV reads no picture of it")


def loop_of(kind: str, folder: Path, *, device: Device) -> Loop:
    """One turn of the loop: a picture to boxes, or to a panoptic map, on the host."""
    import torch
    import transformers as t

    if kind == "detector":
        network: Any = t.RTDetrV2ForObjectDetection.from_pretrained(folder, local_files_only=True)
        processor: Any = t.RTDetrImageProcessor()
        dtype = torch.float16
    else:
        network = t.EomtForUniversalSegmentation.from_pretrained(folder, local_files_only=True)
        side = network.config.image_size
        processor = t.EomtImageProcessor(size={"shortest_edge": side, "longest_edge": side}, do_pad=True)
        dtype = torch.bfloat16
    network = network.eval().to(device, dtype if device == "cuda" else torch.float32)

    @torch.inference_mode()
    def turn(picture: npt.NDArray[np.uint8]) -> Any:
        given = processor(images=picture, return_tensors="pt", device=device)
        found = network(pixel_values=given["pixel_values"].to(network.device, network.dtype))
        sizes = [picture.shape[:2]]
        if kind == "detector":
            (boxes,) = processor.post_process_object_detection(found, target_sizes=sizes, threshold=0.0)
            return {name: values.float().cpu().numpy() for name, values in boxes.items()}
        found.masks_queries_logits = found.masks_queries_logits.float()
        found.class_queries_logits = found.class_queries_logits.float()
        (panoptic,) = processor.post_process_panoptic_segmentation(found, target_sizes=sizes)
        return panoptic["segmentation"].cpu().numpy(), panoptic["segments_info"]

    return turn


def frames_a_second(kind: str, folder: Path, clip: Path, *, device: Device, seconds: float = 4.0) -> float:
    """Of the loop, once it is warm."""
    turn, pictures = loop_of(kind, folder, device=device), pictures_of(clip)
    for _ in range(5 if device == "cuda" else 1):
        turn(next(pictures))
    wait_for(device)
    begin, frames = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < seconds:
        turn(next(pictures))
        frames += 1
    return frames / spent
