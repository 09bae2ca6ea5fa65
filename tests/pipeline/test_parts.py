"""A publisher that replaces another writes beside its files, never over them."""

from __future__ import annotations

from pipeline.config import parse
from pipeline.roster import in_parts

CONFIG = parse({"output": {"directory": "out", "annotate": "a.mp4", "export": {"frigate": "events.jsonl"}}})


def test_the_first_publisher_writes_where_it_was_told() -> None:
    assert in_parts(CONFIG, 1) == CONFIG


def test_the_second_writes_beside_it_and_only_what_was_asked_for() -> None:
    output = in_parts(CONFIG, 2).output
    assert (output.directory, output.annotate) == ("out/part-2", "a-part-2.mp4")
    assert output.export.files == {"frigate": "events-part-2.jsonl"}
