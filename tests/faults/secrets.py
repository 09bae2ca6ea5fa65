"""Addresses with a secret in them, made by a seed, and the search for it in all that was said."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

MARK = "Zq7Canary"  # in every piece of every secret
COUNT, SEED = 200, 20


@dataclass(frozen=True)
class Case:
    """An address as somebody would write it."""

    number: int
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def literal(self) -> bool:
        """Whether a secret stands in the address itself."""
        return MARK in unquote(self.url)

    @property
    def is_local(self) -> bool:
        """Whether it names this machine however it is read, so that trying it asks nobody else."""
        try:
            parts = urlsplit(self.url if not self.environment else "")
            return parts.hostname in ("127.0.0.1", "::1") and parts.port is not None
        except ValueError:
            return False


class Forms:
    """What an address can look like around its secret; `at` is a host and a port that refuses connections."""

    def __init__(self, at: str, seed: int = SEED) -> None:
        self._at, self._chance = at, random.Random(seed)

    def cases(self, count: int = COUNT) -> Iterator[Case]:
        """Each form in turn, with other secrets each time."""
        for number in range(count):
            form = FORMS[number % len(FORMS)]
            yield form(self, number)

    def secret(self) -> str:
        """A password of two pieces around what makes passwords hard to parse."""
        between = self._chance.choice(ODD)
        return f"{self._piece()}{between}{self._piece()}{self._chance.choice(('', '', '.', '!', '%41', '@'))}"

    def _piece(self) -> str:
        return f"{MARK}{self._chance.randrange(36**6):06d}"

    def _scheme(self) -> str:
        return self._chance.choice(("rtsp", "rtsp", "rtsps", "http", "https"))

    def quoted(self, number: int) -> Case:
        return Case(number, f"{self._scheme()}://viewer:{quote(self.secret(), safe='')}@{self._at}/stream")

    def raw(self, number: int) -> Case:
        return Case(number, f"{self._scheme()}://viewer:{self.secret()}@{self._at}/stream?channel=1")

    def odd_user(self, number: int) -> Case:
        return Case(number, f"rtsp://admin@home.lan:{self.secret()}@{self._at}/a@b")

    def no_user(self, number: int) -> Case:
        return Case(number, f"{self._scheme()}://:{quote(self.secret(), safe='@.')}@{self._at}/")

    def user_alone(self, number: int) -> Case:
        return Case(number, f"rtsp://{quote(self.secret(), safe='')}@{self._at}/stream")

    def token(self, number: int) -> Case:
        return Case(number, f"{self._scheme()}://{self._at}/s?token={quote(self.secret(), safe='')}")

    def user_and_password(self, number: int) -> Case:
        return Case(number, f"http://{self._at}/s?user=me@home&password={self.secret()}")

    def both(self, number: int) -> Case:
        return Case(number, f"rtsp://viewer:{self._piece()}@{self._at}/s?a=b&pwd={self._piece()}#t")

    def variable(self, number: int) -> Case:
        name = f"CANARY_{number}"
        return Case(number, f"rtsp://viewer:${{{name}}}@{self._at}/stream", {name: self.secret()})

    def whole_variable(self, number: int) -> Case:
        name = f"CANARY_{number}"
        url = f"rtsp://viewer:{quote(self.secret(), safe='')}@{self._at}/stream"
        return Case(number, f"${{{name}}}", {name: url})

    def part_of_a_variable(self, number: int) -> Case:
        name = f"CANARY_{number}"
        return Case(number, f"rtsp://viewer:{self._piece()}${{{name}}}@{self._at}/s", {name: self.secret()})

    def token_of_a_variable(self, number: int) -> Case:
        name = f"CANARY_{number}"
        return Case(number, f"http://{self._at}/s?token=${{{name}}}&x=1", {name: self._piece()})

    def ipv6(self, number: int) -> Case:
        port = self._at.rpartition(":")[2]
        return Case(number, f"rtsp://viewer:{quote(self.secret(), safe='')}@[::1]:{port}/stream")

    def mistyped(self, number: int) -> Case:
        start = self._chance.choice(
            ("rtsp:/", "rtps://", "RTSP:///", "rtsp//", "http:", "htp://", "rtsp:\\\\", "rtsp ://", "//", "")
        )
        return Case(number, f"{start}viewer:{self._piece()}@{self._at}/stream")

    def in_the_path(self, number: int) -> Case:
        """Also a secret is what follows an '@' that may be part of the password."""
        return Case(number, f"rtsp://viewer:{self._piece()}/{self._piece()}@{self._at}/s")


ODD = (
    "",
    ".",
    "%40",
    "@",
    ":",
    "/",
    "?",
    "#",
    "é",
    '"',
    "'",
    " ",
    "\\",
    "%",
    "&",
    "=",
    "${",
    "%25",
    "ß€",
    "%2F",
    "+",
    ";",
)
FORMS = (
    Forms.quoted,
    Forms.raw,
    Forms.odd_user,
    Forms.no_user,
    Forms.user_alone,
    Forms.token,
    Forms.user_and_password,
    Forms.both,
    Forms.variable,
    Forms.whole_variable,
    Forms.part_of_a_variable,
    Forms.token_of_a_variable,
    Forms.ipv6,
    Forms.mistyped,
    Forms.in_the_path,
)


class Places:
    """All that was said, where; it is searched once, at the end."""

    def __init__(self) -> None:
        self._said: dict[str, list[str]] = {}

    def add(self, place: str, text: str | bytes) -> None:
        """Something that somebody could read."""
        readable = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._said.setdefault(place, []).append(readable)

    def __len__(self) -> int:
        return sum(map(len, self._said.values()))

    def hits(self) -> list[str]:
        """Where the mark of a secret stands, in any form, with what stands around it."""
        return [f"{place}: {around}" for place, texts in self._said.items() for t in texts for around in found(t)]

    def said(self, place: str) -> str:
        """All that was said in one place."""
        return "\n".join(self._said.get(place, ()))


def found(text: str) -> Iterator[str]:
    """What stands around each mark in a text: raw, percent-encoded once or twice, or in base64."""
    once = unquote(text)
    for read in dict.fromkeys((text, once, unquote(once))):
        lower = read.lower()
        at = lower.find(MARK.lower())
        if at >= 0:
            yield read[max(0, at - 60) : at + 40]
        for form in BASE64:
            if form in read:
                yield read[max(0, read.find(form) - 60) : read.find(form) + 40]


def aligned(secret: bytes) -> set[str]:
    """What base64 makes of it wherever in a longer text it stands; of each end only what depends on it alone."""
    forms = set()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + secret)
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        forms |= {coded[first:last].decode(), coded[first:last].translate(bytes.maketrans(b"+/", b"-_")).decode()}
    return forms


BASE64 = aligned(MARK.encode())
