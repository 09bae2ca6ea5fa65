"""What can be asked for, and where."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from pipeline.api.exchange import Request, Response, refusal
from pipeline.api.guard import Guard
from pipeline.api.health import healthz, readyz
from pipeline.api.server import Server
from pipeline.api.watched import Watched
from pipeline.bind import bind_of, token_of


def metrics(run: Watched) -> Response:
    """The figures; what writes them is imported when it is first asked for."""
    from pipeline.api import metrics

    return metrics.metrics(run)


ROUTES: Final[dict[str, Callable[[Watched], Response]]] = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


def answer(run: Watched, request: Request) -> Response:
    """What a run answers."""
    route = ROUTES.get(request.path)
    if route is None:
        return refusal(HTTPStatus.NOT_FOUND, f"there is nothing here; {', '.join(ROUTES)} can be asked for")
    return route(run)


def server_for(bind: str, token: str | None, run: Watched) -> Server:
    """A server that answers about a run once it is entered. Raises `ConfigError` for an unusable token."""
    return Server(bind_of(bind), lambda request: answer(run, request), Guard(token_of(token)))
