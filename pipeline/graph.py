"""Run a chain of stages over batches: checked before the first frame, side by side where no state forbids it.

`Graph` is the chain. `Lanes` runs it: a batch takes the stateless stages on one of a few threads (the networks, OpenCV
and the compiled loops release the interpreter), then the stateful ones in the order of submission. What comes out is
the same for any number of lanes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from pipeline.errors import DeviceLost, GraphError
from pipeline.messages import Batch, Classes, FrameResult, ModelInfo, Timings, results_of
from pipeline.stage import Closable, Complaining, Field, Remembering, Stage, Warmable

Context = TypeVar("Context")


def check_order(stages: Sequence[Stage]) -> None:
    """Refuse a chain in which a stage needs what none before it adds. Raises `GraphError` naming both stages."""
    filled: set[Field] = {"frames"}
    for i, stage in enumerate(stages):
        missing = sorted(stage.needs - filled)
        if missing:
            later = [other.name for other in stages[i + 1 :] if other.adds & set(missing)]
            remedy = f"{later[0]!r}, which adds it, comes after" if later else "no stage adds it"
            raise GraphError(f"stage {stage.name!r} needs {', '.join(missing)}, and {remedy}")
        filled |= stage.adds


class Graph:
    """A checked chain of stages, with what its results say of the network."""

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        classes: Classes,
        model: ModelInfo,
        lanes: int = 1,
        notes: Sequence[str] = (),
    ) -> None:
        """`lanes`: batches taken through the stateless stages side by side. Raises `GraphError`."""
        check_order(stages)
        if lanes < 1:
            raise GraphError(f"lanes is {lanes}; 1 or more is needed")
        first = next((i for i, stage in enumerate(stages) if stage.stateful), len(stages))
        self.stateless, self.stateful = tuple(stages[:first]), tuple(stages[first:])
        self.classes = classes
        self.model = model
        self.lanes = lanes
        self.notes = tuple(notes)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order."""
        return self.stateless + self.stateful

    def run(self, batch: Batch) -> Sequence[FrameResult]:
        """One result a frame, in the calling thread."""
        started_ns = time.monotonic_ns()
        analysed, stage_ms = _timed(self.stateless, batch.to_analyse() if batch.has_skips else batch)
        batch = batch.completed_by(analysed) if batch.has_skips else analysed
        return self.finish(batch, stage_ms, started_ns)

    def analyse(self, batch: Batch) -> tuple[Batch, dict[str, float], Exception | None]:
        """The stateless stages: the batch without the frames at fault, milliseconds by stage, and what went wrong."""
        return _surviving(self.stateless, batch)

    def finish(self, batch: Batch, stage_ms: dict[str, float], started_ns: int) -> Sequence[FrameResult]:
        """The stateful stages, and results of what they leave."""
        batch, more_ms = _timed(self.stateful, batch)
        stage_ms = stage_ms | more_ms
        timings = [
            Timings(
                batch_size=len(batch),
                wait_ms=max(0.0, (started_ns - frame.arrival_monotonic_ns) / 1e6),
                stage_ms=stage_ms,
            )
            for frame in batch.frames
        ]
        return results_of(batch, classes=self.classes, model=self.model, timings=timings)

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Let every stage do what would make its first batches slow; `tell` hears of each step."""
        for stage in self.stages:
            if isinstance(stage, Warmable):
                stage.warm_up(tell)

    def complaints(self) -> list[str]:
        """What stages went on after, since the last call."""
        return [text for stage in self.stages if isinstance(stage, Complaining) for text in stage.complaints()]

    def forget(self, source_id: str) -> None:
        """Drop what stages know of a source that is gone."""
        for stage in self.stages:
            if isinstance(stage, Remembering):
                stage.forget(source_id)

    def close(self) -> None:
        """Release what the stages hold."""
        for stage in self.stages:
            if isinstance(stage, Closable):
                stage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class Completed(Generic[Context]):
    """A batch that left the lanes: its results in order, and the error that cost frames theirs, if any are missing."""

    batch: Batch
    context: Context
    results: Sequence[FrameResult]
    error: Exception | None


@dataclass(frozen=True, slots=True, eq=False)
class _Submitted(Generic[Context]):
    batch: Batch
    context: Context
    started_ns: int
    future: Future[tuple[Batch, dict[str, float], Exception | None]]


class Lanes(Generic[Context]):
    """Batches side by side through a graph's stateless stages, and in order through the rest.

    `submit` never blocks: whoever calls it looks at `free` first. `notify` is called from a lane's thread when a batch
    may be ready, so that an event loop can be woken.
    """

    def __init__(self, graph: Graph, *, notify: Callable[[], None] | None = None) -> None:
        self._graph = graph
        self._pool = ThreadPoolExecutor(graph.lanes, thread_name_prefix="lane")
        self._waiting: deque[_Submitted[Context]] = deque()
        self._notify = notify

    @property
    def in_flight(self) -> int:
        """Batches submitted and not yet taken out."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether the oldest batch is done."""
        return bool(self._waiting) and self._waiting[0].future.done()

    @property
    def free(self) -> int:
        """Batches that can be taken now: one waits ready behind the lanes, so that none idles between batches."""
        return max(0, self._graph.lanes + 1 - self.in_flight)

    def submit(self, batch: Batch, context: Context) -> None:
        """Start a batch. `context` comes back with it, untouched."""
        future = self._pool.submit(_surviving, self._graph.stateless, batch)
        self._waiting.append(_Submitted(batch, context, time.monotonic_ns(), future))
        if self._notify is not None:
            future.add_done_callback(lambda _: self._notify and self._notify())

    def completed(self, *, timeout_seconds: float = 0.0) -> Iterator[Completed[Context]]:
        """Batches that are ready, in the order of submission; waits up to the timeout for the first."""
        if self._waiting and timeout_seconds > 0:
            wait([self._waiting[0].future], timeout=timeout_seconds)
        while self._waiting and self._waiting[0].future.done():
            yield self._complete(self._waiting.popleft())

    def drain(self) -> Iterator[Completed[Context]]:
        """All batches that were submitted, in order, waiting for each."""
        while self._waiting:
            yield self._complete(self._waiting.popleft())

    def _complete(self, submitted: _Submitted[Context]) -> Completed[Context]:
        batch, context = submitted.batch, submitted.context
        try:
            analysed, stage_ms, fault = submitted.future.result()
            results = self._graph.finish(analysed, stage_ms, submitted.started_ns) if len(analysed) else ()
        except Exception as error:  # noqa: BLE001 - a batch's fault is handed on with the batch, whatever it is
            return Completed(batch, context, (), error)
        return Completed(batch, context, results, fault)

    def close(self) -> None:
        """End the lanes; batches not taken out are lost. The graph stays open: it is the caller's."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _surviving(stages: Sequence[Stage], batch: Batch) -> tuple[Batch, dict[str, float], Exception | None]:
    """What stages make of a batch. One that fails is halved until the frames at fault are alone: they are left out.

    Frames that are skipped as planned go around the stages.
    """
    if batch.has_skips:
        wanted = batch.to_analyse()
        analysed, stage_ms, fault = _surviving(stages, wanted) if len(wanted) else (wanted, {}, None)
        return batch.completed_by(analysed), stage_ms, fault
    try:
        return *_timed(stages, batch), None
    except DeviceLost as error:  # no frame is at fault
        return Batch(()), {}, error
    except Exception as error:  # noqa: BLE001 - a stage may raise anything, and other frames must not pay for one
        if len(batch) == 1:
            return Batch(()), {}, error
    (first, _, fault), (second, stage_ms, other) = (_surviving(stages, half) for half in batch.halves())
    return first.joined(second), stage_ms, fault or other


def _timed(stages: Sequence[Stage], batch: Batch) -> tuple[Batch, dict[str, float]]:
    stage_ms: dict[str, float] = {}
    for stage in stages:
        started = time.perf_counter()
        batch = stage(batch)
        stage_ms[stage.name] = (time.perf_counter() - started) * 1e3
    return batch, stage_ms
