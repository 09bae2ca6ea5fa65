"""Values of options, checked as they are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
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
