"""Bytes with things done to them that tend to break readers: drawn by a seeded chance, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Mutation = Callable[[bytearray, random.Random], None]  # changes the bytes in place; they are never empty

# What length fields are set to: nothing, one, just below and above what fits in 8, 16, 31 and 32 bits.
EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF)
_LONGEST_RUN = 64


def flip_bits(data: bytearray, chance: random.Random) -> None:
    """One to eight single bits anywhere."""
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_many(data: bytearray, chance: random.Random) -> None:
    """About one bit in a thousand bytes to one in ten, as a bad line does."""
    for _ in range(max(1, len(data) // chance.choice((10, 100, 1000)))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    """A run of zeros, of ones, or of noise."""
    start, length = _run(data, chance)
    filling = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    data[start : start + length] = filling


def truncate(data: bytearray, chance: random.Random) -> None:
    """The end is missing."""
    del data[chance.randrange(len(data)) :]


def behead(data: bytearray, chance: random.Random) -> None:
    """The beginning is missing."""
    del data[: chance.randrange(len(data))]


def remove(data: bytearray, chance: random.Random) -> None:
    """A run is missing."""
    start, length = _run(data, chance)
    del data[start : start + length]


def insert(data: bytearray, chance: random.Random) -> None:
    """A run of noise is put in."""
    start, length = _run(data, chance)
    data[start:start] = chance.randbytes(length)


def duplicate(data: bytearray, chance: random.Random) -> None:
    """A part, up to half of it all, comes again: at once, or somewhere else."""
    start = chance.randrange(len(data))
    part = bytes(data[start : start + chance.randint(1, max(1, len(data) // 2))])
    at = chance.choice((start, chance.randint(0, len(data))))
    data[at:at] = part


def set_number(data: bytearray, chance: random.Random) -> None:
    """One, two or four bytes take the value that a length field is most likely not prepared for."""
    width = chance.choice((1, 2, 4))
    at = chance.randrange(len(data))
    number = chance.choice(EDGES) & ((1 << 8 * width) - 1)
    data[at : at + width] = number.to_bytes(width, chance.choice(("big", "little")))


MUTATIONS: dict[str, Mutation] = {
    "flip": flip_bits,
    "flip many": flip_many,
    "overwrite": overwrite,
    "truncate": truncate,
    "behead": behead,
    "remove": remove,
    "insert": insert,
    "duplicate": duplicate,
    "number": set_number,
}


def mutated(originals: Sequence[bytes], chance: random.Random, *, largest: int) -> bytes:
    """One of the originals, or two joined, after one to four mutations; at most `largest` bytes."""
    data = bytearray(chance.choice(originals))
    if chance.random() < 0.1:
        data = spliced(data, chance.choice(originals), chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not data:
            break
        chance.choice(list(MUTATIONS.values()))(data, chance)
    return bytes(data[:largest])


def spliced(first: bytes | bytearray, second: bytes, chance: random.Random) -> bytearray:
    """The beginning of one and the end of another."""
    return bytearray(first[: chance.randint(0, len(first))]) + second[chance.randint(0, len(second)) :]


def _run(data: bytearray, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, chance.randint(1, min(_LONGEST_RUN, len(data) - start))
