"""Whether a soak went well: each check with its threshold, what was seen, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import theilslopes

from tests.soak.watch import Minute, Sample

WARM_UP_SHARE = 0.25  # of the run, before slopes are taken: libraries load, pools fill
WARM_UP_MOST_SECONDS = 300.0
# Growth over the rest of the run, by the median of all slopes (Theil and Sen), which dips at replaced workers leave
# alone. A leak that matters over months shows within an hour; noise of a few minutes does not count as one.
MEMORY_MB, MEMORY_SHARE = 20.0, 0.02
DESCRIPTORS = 4.0


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict."""

    name: str
    threshold: str
    seen: str
    passed: bool


def growth(samples: Sequence[Sample], values: Sequence[float], *, warm_up_seconds: float) -> tuple[float, float]:
    """How much a value grew after the warm-up, by its robust slope; and its median."""
    kept = [(s.seconds, v) for s, v in zip(samples, values, strict=True) if s.seconds >= warm_up_seconds]
    if len(kept) < 3:
        return 0.0, 0.0
    seconds, kept_values = zip(*kept, strict=True)
    slope = float(theilslopes(kept_values, seconds).slope)
    return slope * (seconds[-1] - seconds[0]), sorted(kept_values)[len(kept_values) // 2]


def whole(samples: Sequence[Sample], workers: int) -> list[Sample]:
    """Samples of times at which every worker was there."""
    return [sample for sample in samples if sample.workers == workers]


def check_growth(samples: Sequence[Sample], *, run_seconds: float) -> list[Check]:
    """Memory and descriptors do not grow."""
    warm_up = min(WARM_UP_MOST_SECONDS, WARM_UP_SHARE * run_seconds)
    grown, usual = growth(samples, [s.memory_mb for s in samples], warm_up_seconds=warm_up)
    most = max(MEMORY_MB, MEMORY_SHARE * usual)
    opened, open_usually = growth(samples, [s.descriptors for s in samples], warm_up_seconds=warm_up)
    return [
        Check("memory", f"grows by at most {most:.0f} MB", f"{grown:+.1f} MB around {usual:.0f} MB", grown <= most),
        Check(
            "descriptors",
            f"grow by at most {DESCRIPTORS:.0f}",
            f"{opened:+.1f} around {open_usually:.0f}",
            opened <= DESCRIPTORS,
        ),
    ]


def check_latency(minutes: Sequence[Minute], *, most_ms: float) -> Check:
    """95 % of each minute's results come in time."""
    worst = max((minute.p95_ms for minute in minutes), default=0.0)
    return Check("latency", f"p95 of every minute at most {most_ms:.0f} ms", f"worst {worst:.0f} ms", worst <= most_ms)
