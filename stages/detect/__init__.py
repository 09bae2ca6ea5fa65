"""Detection: frames to boxes, and to prototype masks and a semantic map where the network gives them."""

from stages.detect.build import build_detector
from stages.detect.coco import COCO_CLASSES
from stages.detect.detect import Detect
from stages.detect.layouts import LAYOUTS

__all__ = ["COCO_CLASSES", "LAYOUTS", "Detect", "build_detector"]
