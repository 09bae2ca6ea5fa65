"""A worker process of `everyframe process`: decodes pieces of recordings and looks at their frames, one at a time.

Started by `pipeline.footage.crew`, which writes orders to its standard input, a line of JSON each, and reads reports
from its standard output. It has one thread for the networks and decodes in between, so that a worker is a core.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from pipeline.config import PipelineConfig
from pipeline.errors import DeviceLost, EveryframeError
from pipeline.footage.cutting import chooser
from pipeline.footage.orders import Analyse, Export, Finished, Looked, Order, Ready, Refused, Report, Start
from pipeline.footage.records import Header, PieceWriter, Record, State, found
from pipeline.graph import Graph
from pipeline.messages import Batch, Frame, Survey
from pipeline.parent import end_with_parent
from pipeline.stage import Access

TELL_SECONDS = 0.25  # between two reports of how far a piece is


Tell = Callable[[Report], None]


def main() -> int:
    """Do as is asked until standard input ends."""
    end_with_parent()
    reports, orders = os.fdopen(os.dup(1), "wb", buffering=0), os.fdopen(os.dup(0), "rb")
    _keep_quiet()

    def tell(report: Report) -> None:
        reports.write(msgspec.json.encode(report) + b"\n")

    graph: Graph | None = None
    try:
        for order in _orders(orders):
            try:
                if isinstance(order, Start):
                    config = order.config
                elif isinstance(order, Export):
                    _export(order, config, tell)
                    tell(Finished(0))
                else:
                    if graph is None:
                        graph = _loaded(config)
                        tell(Ready(graph.notes))
                    tell(Finished(Look(graph, config, order, tell).run()))
            except EveryframeError as exc:
                ends = (graph is None and isinstance(order, Analyse)) or isinstance(exc, DeviceLost)
                tell(Refused(str(exc), type(exc).__name__, ends))
                if ends:
                    return 1
            except Exception as exc:  # noqa: BLE001 - whatever it is, who asked must hear of it
                tell(Refused(f"internal error: {type(exc).__name__}: {exc}", "EveryframeError", ends=True))
                return 1
    except BrokenPipeError:
        return 0
    finally:
        if graph is not None:
            graph.close()
    return 0


class Look:
    """One piece, from its first frame to its file."""

    def __init__(self, graph: Graph, config: PipelineConfig, order: Analyse, tell: Tell) -> None:
        self._graph, self._order, self._tell = graph, order, tell
        self._batch_size = config.frames_a_batch
        self._source = msgspec.structs.replace(
            config.source_configs[0], url=order.recording, source_id="recording", began=order.began
        )
        self._files_root = config.files_root
        self._writer: PieceWriter
        self._told = time.monotonic()

    def run(self) -> int:
        """Frames that there were. Raises `SourceError`, `SinkError`, `DeviceLost`."""
        from pipeline.build import numbering_of, open_piece

        reader = open_piece(self._source, self._order.piece, access=Access(files_root=self._files_root))
        writer: PieceWriter | None = None
        try:
            about = reader.about
            writer = self._writer = PieceWriter(Path(self._order.target), self._header(about))
            numbering = numbering_of(about, self._source.source_id, next_epoch=itertools.count(1).__next__)
            batch: list[tuple[Frame, tuple[int, int], State]] = []
            wants, first_ns = self._wants(), None
            for number, picture in enumerate(reader.pictures()):
                frame = numbering.frame(picture.surface, pts=picture.pts, size=picture.size, now_ns=0)
                first_ns = frame.capture_time_ns if first_ns is None else first_ns
                batch.append((frame, picture.size, self._state(frame, number, first_ns, wants)))
                if len(batch) == self._batch_size:
                    self._look_at(batch)
                    batch = []
            self._look_at(batch)
            writer.finish(reader.counted)
            return writer.frames
        finally:
            reader.close()
            if writer is not None:
                writer.abandon()

    def _header(self, about: Survey) -> Header:
        return Header(
            things=self._graph.classes.things,
            stuff=self._graph.classes.stuff,
            model=(self._graph.model.name, self._graph.model.version),
            time_base=_pair(about.time_base),
            rate=None if about.rate is None else _pair(about.rate),
            start_ns=about.start_ns,
        )

    def _wants(self) -> Callable[[int | None, int, int], bool]:
        given = self._order.analysed
        stamps = None if given is None else np.frombuffer(given, dtype=np.int64)
        return chooser(self._order.selection, stamps, cut=self._order.was_cut)

    def _state(self, frame: Frame, number: int, first_ns: int, wants: Callable[[int | None, int, int], bool]) -> State:
        selection = self._order.selection
        if not self._order.was_cut:
            seconds = (frame.capture_time_ns - first_ns) / 1e9
            after = selection.begin is None or seconds >= selection.begin
            if not after or (selection.end is not None and seconds >= selection.end):
                return State.OUTSIDE
        return State.ANALYSED if wants(frame.pts, number, frame.capture_time_ns) else State.SKIPPED

    def _look_at(self, frames: list[tuple[Frame, tuple[int, int], State]]) -> None:
        """A batch through the network, and a record of each of its frames."""
        wanted = Batch(tuple(frame for frame, _, state in frames if state is State.ANALYSED))
        done, stage_ms, fault = self._graph.analyse(wanted) if len(wanted) else (wanted, {}, None)
        if isinstance(fault, DeviceLost):
            raise fault
        rows = {frame.identity: row for row, frame in enumerate(done.frames)}
        for frame, size, state in frames:
            given: dict[str, Any] = {}
            row = rows.get(frame.identity)
            if row is not None:
                panoptic = done.panoptic[row] if done.panoptic else None
                given = found(done.detections[row], panoptic) if done.detections else {}
                given |= {"batch_size": len(wanted), "stage_ms": stage_ms}
            elif state is State.ANALYSED:
                state = State.FAILED
            self._writer.add(Record(frame.pts, size, (frame.width, frame.height), state, **given))
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self._tell(Looked(self._writer.frames))


def _export(order: Export, config: PipelineConfig, tell: Tell) -> None:
    """Raises `ConfigError`, `SinkError`, `SourceError`, `WireError`."""
    from pipeline.build import export_recording

    looked, told = 0, 0.0

    def step(done: int, _: int | None) -> None:
        nonlocal looked
        looked = done

    def stopping() -> bool:
        """No; but it is asked all the time, when all is read too, and a worker that tells nothing is ended."""
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            tell(Looked(looked))
        return False

    folder = Path(order.folder)
    export_recording(
        order.names,
        results=folder / "results.jsonl",
        folder=folder,
        video=[Path(recording) for recording in order.recordings],
        source=config.source_configs[0],
        tell=step,
        stopping=stopping,
    )


def _orders(lines: IO[bytes]) -> Iterator[Order]:
    decoder = msgspec.json.Decoder(Order)
    return (decoder.decode(line) for line in iter(lines.readline, b""))


def _loaded(config: PipelineConfig) -> Graph:
    from pipeline.build import build_graph

    graph = build_graph(config)
    graph.warm_up(lambda _: None)
    return graph


def _pair(value: Fraction) -> tuple[int, int]:
    return value.numerator, value.denominator


def _keep_quiet() -> None:
    """What libraries print is no report, and what they read is no order."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
