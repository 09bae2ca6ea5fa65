"""OpenCV is loaded when polygons are first asked for, and by nothing else that is subscribed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEARD = """
import sys, threading
from stages.publish.ahead import PolygonsAhead

ahead = PolygonsAhead()
ahead.hear([prefix.encode() for prefix in sys.argv[1:]])
for thread in threading.enumerate():
    if thread.name == "everyframe-polygons":
        thread.join()
print("cv2" in sys.modules)
"""
PUBLISHED = """
import sys, threading, zmq
from stages.publish.zeromq import ZeroMQPublisher

with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:
    assert "cv2" not in sys.modules
    reader = zmq.Context.instance().socket(zmq.SUB)
    reader.connect(publisher.address)
    reader.subscribe(b"door+/masks.polygons/")
    while not publisher.statistics().subscriptions:
        publisher.socket.poll(100)
        publisher.poll()
    for thread in threading.enumerate():
        if thread.name == "everyframe-polygons":
            thread.join()
    reader.close(linger=0)
print("cv2" in sys.modules)
"""


def printed(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300).stdout.strip()


@pytest.mark.parametrize(
    ("prefixes", "loaded"),
    [
        (["door/tracks/", "door+/masks.polygons/"], "True"),
        (["door+/"], "True"),
        (["door/", "", "door+/masks.coco/", "door+/masks.polygonsx/", "door/all/", "/status/"], "False"),
    ],
    ids=["polygons", "every form", "nothing of the kind"],
)
def test_only_who_asks_for_polygons_has_it_loaded(prefixes: list[str], loaded: str) -> None:
    assert printed(HEARD, *prefixes) == loaded


def test_a_publisher_loads_it_before_there_is_a_result() -> None:
    assert printed(PUBLISHED) == "True"
