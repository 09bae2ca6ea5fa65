"""Removing boxes that find the same object again: hard, soft-linear, soft-gaussian and matrix NMS, exact."""

from stages.suppress.stage import Suppress
from stages.suppress.suppress import CANDIDATES, METHODS, Method, suppress

__all__ = ["CANDIDATES", "METHODS", "Method", "Suppress", "suppress"]
