"""The loop a user would write instead of everyframe: OpenCV, a runtime, per-class NMS, a tracker from a library.

``python -m tests.benchmarks.loops onnxruntime CLIP MODEL`` prints one line of JSON: frames, seconds, frames a second.
Written to be fast: the network's input is prepared in place, suppression is OpenCV's compiled one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 416
SCORE_THRESHOLD, IOU_THRESHOLD = 0.1, 0.5

Runtime = Literal["onnxruntime", "openvino"]
Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def onnxruntime_network(model: Path, *, threads: int) -> Network:
    """YOLOX on ONNX Runtime with the settings that were fastest: all optimisations, one thread a core, sequential."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture})[0][0]


def openvino_network(model: Path, *, threads: int) -> Network:
    """YOLOX on OpenVINO as its tutorials have it: compiled for latency, one synchronous request."""
    from stages.models.openvino_runtime import ov  # the package itself, kept from reporting to an analytics service

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = ov.Core().compile_model(str(model), "CPU", settings).create_infer_request()
    return lambda picture: next(iter(request.infer({0: picture}).values()))[0]


NETWORKS: dict[Runtime, Callable[..., Network]] = {"onnxruntime": onnxruntime_network, "openvino": openvino_network}


def grid() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cell corners [A, 2] and strides [A, 1] of YOLOX's three levels."""
    corners, strides = [], []
    for stride in (8, 16, 32):
        ys, xs = np.mgrid[: SIDE // stride, : SIDE // stride]
        corners.append(np.stack([xs, ys], -1).reshape(-1, 2))
        strides.append(np.full((corners[-1].shape[0], 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def run(clip: Path, network: Network) -> tuple[int, float]:
    """Frames, and seconds from opening the clip to its last tracked frame."""
    import supervision
    from trackers import ByteTrackTracker

    corners, strides = grid()
    padded = np.full((SIDE, SIDE, 3), 114, dtype=np.uint8)
    network(np.zeros((1, 3, SIDE, SIDE), dtype=np.float32))
    tracker = ByteTrackTracker()
    started = time.perf_counter()
    capture = cv2.VideoCapture(str(clip))
    frames = 0
    while True:
        good, picture = capture.read()
        if not good:
            break
        scale = min(SIDE / picture.shape[0], SIDE / picture.shape[1])
        height, width = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
        padded[:height, :width] = cv2.resize(picture, (width, height))
        raw = network(np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32))
        scores = raw[:, 5:] * raw[:, 4:5]
        labels = scores.argmax(1)
        best = scores[np.arange(len(scores)), labels]
        kept = np.flatnonzero(best > SCORE_THRESHOLD)
        centres = (raw[kept, :2] + corners[kept]) * strides[kept]
        sizes = np.exp(raw[kept, 2:4]) * strides[kept]
        boxes = np.concatenate([centres - sizes / 2, sizes], 1) / scale
        chosen = cv2.dnn.NMSBoxesBatched(
            boxes, best[kept], labels[kept].astype(np.int32), SCORE_THRESHOLD, IOU_THRESHOLD
        )
        chosen = np.asarray(chosen, dtype=np.intp).reshape(-1)
        boxes[:, 2:] += boxes[:, :2]
        tracker.update(
            supervision.Detections(xyxy=boxes[chosen], confidence=best[kept][chosen], class_id=labels[kept][chosen])
        )
        frames += 1
    return frames, time.perf_counter() - started


def main() -> None:
    """Run one loop over one clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=sorted(NETWORKS))
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    frames, seconds = run(arguments.clip, NETWORKS[arguments.runtime](arguments.model, threads=arguments.threads))
    print(json.dumps({"frames": frames, "seconds": seconds, "fps": frames / seconds}))


if __name__ == "__main__":
    main()
