"""What is watched where nothing was asked for."""

from __future__ import annotations

from typing import Final

DEFAULT_TOPIC: Final = "*/tracks"
HOW_SOURCES_DO: Final = "*/status"


def default_topics(*, is_live: bool, count: int | None) -> list[str]:
    """Tracks; in a table that has a row for a source also how it does, which would be in the way of counting."""
    return [DEFAULT_TOPIC, HOW_SOURCES_DO] if is_live and count is None else [DEFAULT_TOPIC]
