"""What fixtures give, for the signatures of tests."""

from __future__ import annotations

from collections.abc import Callable

from tests.cameras import RtspCamera
from tests.faults.watching import Watched

Cameras = Callable[..., RtspCamera]
Seen = Callable[[str], None]
Watch = Callable[..., Watched]
