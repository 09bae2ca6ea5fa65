"""`/healthz`: is the run alive, or to be restarted? `/readyz`: can results leave now?"""

from __future__ import annotations

from http import HTTPStatus

from pipeline.api.exchange import Response, json_response
from pipeline.api.watched import Watched
from pipeline.messages import SourceStatus
from pipeline.workers.messages import DeferredCounts


def healthz(run: Watched) -> Response:
    """200 while the supervisor goes round, whatever its workers do: it replaces those. 503 with the reason."""
    return _answer(run.vitals().ailments, {})


def readyz(run: Watched) -> Response:
    """200 while the vision worker and the publisher work, whatever cameras and Redis do. 503 with the reasons."""
    sources = {source.source_id: _source(source) for source in run.statistics().sources}
    sinks = {name: _deferred(counts) for name, counts in run.sink_counts.deferred.items()}
    return _answer(run.vitals().hindrances, {"sources": sources, **({"sinks": sinks} if sinks else {})})


def _answer(reasons: tuple[str, ...], more: dict[str, object]) -> Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return json_response(status, {"ok": not reasons, "reasons": reasons, **more})


def _source(source: SourceStatus) -> dict[str, object]:
    return {"state": source.state, "message": source.message, "retry_in_seconds": source.retry_in_seconds}


def _deferred(counts: DeferredCounts) -> dict[str, object]:
    """A sink that delivers in its own time."""
    return {"reachable": counts.reachable, "waiting": counts.waiting, "spooled_bytes": counts.waiting_bytes}
