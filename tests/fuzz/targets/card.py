"""The JSON card beside a model: `ModelError`, or classes and a checksum."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import ModelError
from stages.detect.build import WEIGHTS, class_names, read_card
from tests.fuzz.scratch import scratch


def one_input(data: bytes) -> None:
    """The bytes as a card."""
    path = scratch("model.json")
    path.write_bytes(data)
    try:
        card = read_card(path.with_suffix(".onnx"))
    except ModelError:
        return
    assert card is not None
    assert all(isinstance(name, str) for name in card.classes.names)
    class_names(80, None, card)


def seeds() -> Iterator[bytes]:
    """Our own card, and a small one."""
    yield (WEIGHTS / "everyframe-nano.json").read_bytes()
    yield b'{"things": ["person"], "stuff": ["road"], "sha256": "ab"}'
