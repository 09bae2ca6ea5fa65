"""How many frames a second a source gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Rate:
    """Frames a second, smoothed over the last second or so."""

    interval_ns: float = 0.0
    last_ns: int = 0

    def seen(self, now_ns: int) -> float:
        """Count a frame; the rate."""
        if self.last_ns:
            interval = now_ns - self.last_ns
            share = min(1.0, max(0.02, interval / 1e9))
            self.interval_ns += (interval - self.interval_ns) * (share if self.interval_ns else 1.0)
        self.last_ns = now_ns
        return 1e9 / self.interval_ns if self.interval_ns else 0.0
