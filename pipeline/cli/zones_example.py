"""A zones file for `--help`: apart, since that loads nothing that reads one."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
# 0,0 is the top left corner of the picture, 1,1 the bottom right one.
coordinates: fractions          # or pixels, with `picture: [1280, 720]`, where they were drawn
lines:
  - name: kerb
    points: [[0.10, 0.62], [0.90, 0.58]]
    directions: [in, out]       # in: from left to right, looking along the points
    classes: [person, bicycle]  # left out: all
zones:
  - name: crossing
    points: [[0.30, 0.40], [0.70, 0.40], [0.80, 0.75], [0.20, 0.75]]
    min_dwell_seconds: 1        # shorter visits are none
    sources: ["gate*"]          # left out: every source
"""
