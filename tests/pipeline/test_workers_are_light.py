"""A worker loads what its role needs: no network in a camera's, no decoder in the publisher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("torch", "openvino", "onnxruntime", "numba", "scipy")


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("pipeline.worker, pipeline.workers.camera, stages.decode.reader", (*NETWORKS, "cv2", "zstandard")),
        ("pipeline.worker, pipeline.workers.publisher, stages.publish.zeromq", (*NETWORKS, "cv2", "av")),
        ("pipeline.engines.local", (*NETWORKS, "cv2", "av")),
    ],
    ids=["camera", "publisher", "supervisor"],
)
def test_a_role_loads_nothing_it_does_not_need(modules: str, unwanted: tuple[str, ...]) -> None:
    script = f"import sys, {modules}; print(*(m for m in {unwanted!r} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == ""
