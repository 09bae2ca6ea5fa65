"""Values of options, checked as they are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from math import inf
from typing import TypeVar

Number = TypeVar("Number", int, float)


def at_least(least: Number, kind: type[Number]) -> Callable[[str], Number]:
    """Reads a number that must not be below `least`."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is too small; {least} or more is needed")
        return value

    return read


def within(least: float, most: float) -> Callable[[str], float]:
    """Reads a number that must lie between two others, or be one of them."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not within {least:g} and {most:g}")
        return value

    return read


def seconds(text: str) -> float:
    """Reads a time from a beginning: ``90``, ``1:30`` or ``0:01:30.5``, in seconds."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or not all(0 <= part < inf for part in parts) or any(part >= 60 for part in parts[1:]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 90, 1:30 or 0:01:30 would be")
    return sum(part * float(60**place) for place, part in enumerate(reversed(parts)))


def size(text: str) -> tuple[int, int]:
    """Reads the width and height of a picture, ``640x352``."""
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; 640x352 would be")
    return int(found[1]), int(found[2])


def names(text: str) -> list[str]:
    """Reads names with commas between them."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("no name is given; person,car would be two")
    return found


def export(text: str) -> tuple[str, str]:
    """Reads ``FORMAT=FILE``; whether there is such a format is for the settings to say."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise argparse.ArgumentTypeError(f"{text!r} is not FORMAT=FILE; frigate=events.jsonl would be")
    return name, file
