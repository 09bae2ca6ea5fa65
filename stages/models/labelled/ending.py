"""An orderly end between two pieces of work, when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable

from stages.models.labelled.parts import Progress

Asked = Callable[[], bool]  # whether it shall end


class Interrupted(KeyboardInterrupt):
    """It was asked to end, and has kept what it goes on from."""


def never() -> bool:
    """Nobody asks."""
    return False


def ending(progress: Progress | None, interrupted: Asked) -> Progress:
    """What tells of progress, and raises `Interrupted` after a piece of work where that was asked for."""

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)
        if interrupted():
            raise Interrupted

    return tell
