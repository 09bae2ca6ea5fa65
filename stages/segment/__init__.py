"""Segmentation: semantic networks, and merging what networks give into a panoptic map."""

from stages.segment.labels import join_classes
from stages.segment.panoptic import PanopticMerge
from stages.segment.segment import Segment, build_segmenter

__all__ = ["PanopticMerge", "Segment", "build_segmenter", "join_classes"]
