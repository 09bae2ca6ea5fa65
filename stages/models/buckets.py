"""Batch buckets: the few batch sizes that a compiled or captured network exists for; other batches are padded.

Powers of two, so that halving after the device ran out of memory is going one bucket down.
"""

from __future__ import annotations

from collections.abc import Iterator


def buckets_up_to(largest: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `largest` itself, in rising order. Raises `ValueError` below 1."""
    if largest < 1:
        raise ValueError(f"largest is {largest}; 1 or more is needed")
    sizes = []
    size = 1
    while size < largest:
        sizes.append(size)
        size *= 2
    return (*sizes, largest)


def bucket_for(count: int, buckets: tuple[int, ...]) -> int:
    """The smallest bucket that holds `count`, or the largest there is."""
    return next((size for size in buckets if size >= count), buckets[-1])


def parts(count: int, largest: int) -> Iterator[slice]:
    """Slices of at most `largest` that cover `count`, in order."""
    return (slice(start, min(start + largest, count)) for start in range(0, count, largest))
