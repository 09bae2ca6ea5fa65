"""How the learning rate goes over a training: pure functions from progress, 0..1, to a share of the highest rate.

Sources: cosine, Loshchilov and Hutter 2016, "SGDR" (arXiv:1608.03983); poly, Chen et al. 2016, "DeepLab" (1606.00915);
one cycle, Smith and Topin 2017, "Super-Convergence" (1708.07120), in two phases as fastai has it; a linear warm-up,
Goyal et al. 2017 (1706.02677).
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]

# What is left of the rate at the end of a cosine, and at the start of a warm-up.
LEAST = 0.01
_POLY_POWER = 0.9
_CYCLE_RISE = 0.3
_CYCLE_START = 1 / 25
_CYCLE_END = 1 / 250_000


def constant(progress: float) -> float:
    """The highest rate all the time."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to `LEAST`."""
    return _eased(1.0, LEAST, progress)


def poly(progress: float) -> float:
    """``(1 - progress) ** 0.9``: nearly linear, down to nothing."""
    return float((1 - _clamped(progress)) ** _POLY_POWER)


def one_cycle(progress: float) -> float:
    """Half a cosine up from 1/25 in the first 30%, then one down to next to nothing. It is its own warm-up."""
    progress = _clamped(progress)
    if progress < _CYCLE_RISE:
        return _eased(_CYCLE_START, 1.0, progress / _CYCLE_RISE)
    return _eased(1.0, _CYCLE_END, (progress - _CYCLE_RISE) / (1 - _CYCLE_RISE))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "poly": poly, "one-cycle": one_cycle}


def rate_share(schedule: Schedule, progress: float, *, warm_up: float = 0.0) -> float:
    """The share of the highest rate: a linear rise over the first `warm_up` of the training, the schedule in the rest.

    Args:
        schedule: one of `SCHEDULES`.
        progress: how much of the training is over; below 0 and above 1 count as 0 and 1.
        warm_up: share of the training in which the rate rises, in [0, 1).

    Raises:
        ValueError: for another `warm_up`.
    """
    if not 0 <= warm_up < 1:
        raise ValueError(f"warm_up is {warm_up}; it is a share of the training from 0 to below 1")
    progress = _clamped(progress)
    if progress < warm_up:
        return schedule(0.0) * max(progress / warm_up, LEAST)
    return schedule((progress - warm_up) / (1 - warm_up))


def _clamped(progress: float) -> float:
    return min(max(progress, 0.0), 1.0)


def _eased(start: float, end: float, progress: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * _clamped(progress))) / 2
