"""A recording with something done to it: to any bytes, to the sizes of its boxes, to the heads of its NAL units."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.fuzz.mutate import EDGES, MUTATIONS, spliced

_BOX = re.compile(
    b"ftyp|moov|mvhd|trak|tkhd|mdia|mdhd|hdlr|minf|stbl|stsd|stts|stsc|stsz|stco|ctts|stss|avc1|avcC|hev1|hvc1|hvcC"
    b"|mdat|moof|traf|tfhd|trun|edts|elst|udta|meta|RIFF|LIST|hdrl|strl|strh|strf|movi|idx1|avih|00dc"
    rb"|\x1a\x45\xdf\xa3|\x18\x53\x80\x67|\x15\x49\xa9\x66|\x16\x54\xae\x6b|\x1f\x43\xb6\x75|\xa3"
)
_START_CODE = re.compile(rb"\x00\x00\x01|\xff\xd8|\xff\xc0|\xff\xc4|\xff\xda|\x47[\x40\x41\x50]")
_HEAD_BYTES = 24  # in which a parameter set, a slice header or a table of a JPEG says what is large


@dataclass(frozen=True, slots=True)
class Mutant:
    """A recording that is none any more."""

    number: int
    kind: str  # of clip
    mutation: str
    suffix: str
    data: bytes

    def __str__(self) -> str:
        return f"#{self.number} ({self.kind}, {self.mutation})"


def mutant(number: int, clips: Mapping[str, tuple[str, bytes]]) -> Mutant:
    """The mutant of that number: the same for the same clips."""
    chance = random.Random(number)
    kind = chance.choice(list(clips))
    suffix, whole = clips[kind]
    data = bytearray(whole)
    name = chance.choice([*KINDS, *(["heads"] * 3), *(["sizes"] * 2)])
    if name == "splice":
        data = spliced(whole, clips[chance.choice(list(clips))][1], chance)
    for _ in range(chance.choice((1, 1, 1, 3, 8))):
        if data and name != "splice":
            KINDS[name](data, chance)
    return Mutant(number, kind, name, suffix, bytes(data) or b"\x00")


def set_sizes(data: bytearray, chance: random.Random) -> None:
    """The bytes before or behind the name of a box, a chunk or an element, where its size stands, or its counts."""
    names = list(_BOX.finditer(data))
    if not names:
        MUTATIONS["number"](data, chance)
        return
    name = chance.choice(names)
    at = chance.choice((name.start() - 4, name.end(), name.end() + 4, name.end() + 8))
    at = min(max(at, 0), max(len(data) - 4, 0))
    number = chance.choice((*EDGES, len(data), chance.getrandbits(32), chance.getrandbits(12)))
    data[at : at + 4] = number.to_bytes(4, chance.choice(("big", "little")))


def change_heads(data: bytearray, chance: random.Random) -> None:
    """A few bits close behind a start code or a marker: sizes of pictures, numbers of references, kinds of units."""
    codes = list(_START_CODE.finditer(data))
    start = chance.choice(codes).end() if codes else chance.randrange(len(data))
    for _ in range(chance.randint(1, 4)):
        at = min(start + chance.randrange(_HEAD_BYTES), len(data) - 1)
        data[at] ^= 1 << chance.randrange(8)


KINDS: dict[str, Callable[[bytearray, random.Random], None]] = {
    **MUTATIONS,
    "sizes": set_sizes,
    "heads": change_heads,
    "splice": lambda data, chance: None,
}
