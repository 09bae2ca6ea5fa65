"""Which pictures of a set are learnt from, which are held out, and how far a reader has come."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

Part = Literal["train", "held-out", "all"]
# What is read, how much of it is done, how much there is.
Progress = Callable[[str, int, int], None]
_REPORT_EVERY = 100
_Item = TypeVar("_Item")


def reported(items: Sequence[_Item], progress: Progress | None, what: str) -> Iterator[_Item]:
    """The items one by one; progress is told now and then, and at the end."""
    for done, item in enumerate(items):
        if progress is not None and done % _REPORT_EVERY == 0:
            progress(what, done, len(items))
        yield item
    if progress is not None:
        progress(what, len(items), len(items))


def is_held_out(key: str, hold_out: float) -> bool:
    """Whether a picture is kept from training: by its name alone, so that it is on one side in every set."""
    return place_of(key) < hold_out


def place_of(key: str, *, purpose: str = "hold out") -> float:
    """A name's place from 0 to below 1: the same for all time, and another for each purpose.

    Not by a check sum: names that are counted up lie side by side there, and would all be of one part.
    """
    digest = hashlib.blake2b(f"{purpose}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def evenly(count: int, *, limit: int) -> NDArray[np.int64]:
    """Rows of at most `limit` of `count` pictures, spread evenly, the first and the last among them."""
    return np.linspace(0, count - 1, min(limit, count)).round().astype(np.int64)


def choose(
    keys: Sequence[str], *, hold_out: float, part: Part, limit: int | None, groups: Sequence[str] | None = None
) -> list[int]:
    """Indices of the pictures of a part, in order; of more than `limit`, some spread evenly over them.

    Args:
        keys: their names.
        hold_out: share of all pictures that is held out.
        part: which are wanted.
        limit: the most to choose; None: all of them.
        groups: what the side is told by, where that is not the name: frames of one clip are never on both sides.
    """
    named = keys if groups is None else groups
    chosen = [
        index
        for index, name in enumerate(named)
        if part == "all" or is_held_out(name, hold_out) == (part == "held-out")
    ]
    if limit is not None:
        chosen = [chosen[row] for row in evenly(len(chosen), limit=limit)]
    return chosen


def check_any(chosen: Sequence[object], name: str, *, of: int, hold_out: float, part: Part) -> None:
    """Refuse a part without a picture. Raises `DataError`."""
    if chosen:
        return
    if of == 0:
        raise DataError(f"{name}: there is no labelled picture in it")
    share = f"none of its {of} pictures is {'held out' if part == 'held-out' else 'learnt from'}"
    raise DataError(f"{name}: {share} with hold_out: {hold_out:g}; give another share, or more pictures")
