"""Working through recordings: pieces to workers, what they found joined, tracked and written, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from pipeline.config import OutputConfig, PipelineConfig, PublishConfig, SourceConfig, check
from pipeline.errors import ConfigError
from pipeline.footage.crew import Crew, Heard
from pipeline.footage.cutting import Selection
from pipeline.footage.digest import settings_digest
from pipeline.footage.exporting import missing
from pipeline.footage.job import Job
from pipeline.footage.joining import Joiner, NumberingOf
from pipeline.footage.listing import REPORT, Footage, Recording
from pipeline.footage.orders import Analyse, Export, Finished, Looked, Refused
from pipeline.footage.shelf import Counts, Done, Origin, Part, Seen, Shelf
from pipeline.messages import Survey
from pipeline.stage import Access, Sink, Stage

State = Literal["done", "kept", "refused", "left"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a recording.

    Attributes:
        state: done now; kept, as an earlier run had done it; refused, for `reason`; left, as the run was ended.
        refused: segments of it that could not be read, and why.
        exports: those that are there.
    """

    name: str
    source: str
    state: State
    reason: str = ""
    counts: Counts = Counts()
    refused: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()


class Screen:
    """What is shown; this one shows nothing."""

    def begin(self, footage: Footage, number: int) -> None:
        """A recording is begun, the so-manieth of all."""

    def step(self, footage: Footage, frames: int, expected: int, *, doing: str = "frames") -> None:
        """So many of its frames have been looked at, or exported."""

    def end(self, footage: Footage, outcome: Outcome) -> None:
        """It is over, or need not be begun."""


class Parts(Protocol):
    """What the builder makes; see `pipeline.build`."""

    def survey(self, source: SourceConfig, *, access: Access) -> Survey: ...
    def build_tracker(self, config: PipelineConfig) -> Stage: ...
    def build_sinks(self, config: PipelineConfig) -> Sequence[Sink]: ...
    def export_files(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]: ...

    @property
    def numbering_of(self) -> NumberingOf: ...


Waiting = Iterator[tuple[int, tuple[Footage, Done | None]]]  # footage that was not begun, numbered


class Work:
    """A run over footage."""

    def __init__(
        self,
        config: PipelineConfig,
        footage: Sequence[Footage],
        shelf: Shelf,
        *,
        parts: Parts,
        selection: Selection = Selection(),  # noqa: B008 - frozen
        workers: int = 1,
        exports: Sequence[str] = (),
    ) -> None:
        """`config`: everything but where results go, with a source for all. Raises `ConfigError` for an export."""
        self._config, self._footage, self._shelf, self._parts = config, footage, shelf, parts
        self._selection, self._workers = selection, workers
        self._export_files = parts.export_files(exports)
        self._to_export: list[tuple[Footage, Outcome]] = []
        self._exporting: dict[Path, tuple[Footage, Outcome]] = {}  # by the folder
        self._settings = settings_digest(config, selection)
        self._access = Access(files_root=config.files_root)
        self._jobs: list[Job] = []
        self._outcomes: dict[str, Outcome] = {}
        self._stopping = False

    def plan(self) -> Iterator[tuple[Footage, Done | None]]:
        """What there is, with its mark where nothing is to be done."""
        for footage in self._footage:
            origin = self._origin(footage)
            yield footage, None if origin is None else self._shelf.done(footage.name, origin)

    def run(self, screen: Screen) -> list[Outcome]:
        """Work through all, and write the report. Raises `SinkError`, `ModelError`, `ConfigError`, `DeviceLost`."""
        with self._shelf.held():
            try:
                with Crew(self._of_workers(), self._workers) as crew:
                    self._work(crew, screen)
            finally:
                for job in self._jobs:
                    job.close()
                    self._shelf.leave(job.footage.name)
            outcomes = [self._outcomes.get(one.name) or _outcome(one, "left") for one in self._footage]
            listed = msgspec.json.format(msgspec.json.encode({"recordings": outcomes}), indent=1) + b"\n"
            self._shelf.write(REPORT, listed)
        return outcomes

    def stop(self) -> None:
        """Leave what is in work and what is to come, soon; a signal's handler may call it, or another thread."""
        self._stopping = True

    def _work(self, crew: Crew, screen: Screen) -> None:
        waiting = enumerate(self.plan(), 1)
        while not self._stopping:
            while crew.free and (order := self._next_order(waiting, screen)) is not None:
                crew.give(order)
            self._join(screen)
            if not crew.busy and not self._jobs and not self._to_export:
                return
            for heard in crew.listen():
                self._hear(heard, screen)

    def _next_order(self, waiting: Waiting, screen: Screen) -> Analyse | Export | None:
        """What is to be done next: exports of what is whole, then pieces; None where there is nothing."""
        while not self._stopping:
            if self._to_export:
                return self._next_export()
            orders = (job.next_order() for job in self._jobs)
            if (order := next((one for one in orders if one is not None), None)) is not None:
                return order
            self._join(screen)  # what gave no order may be whole, and need not hold its files open
            if self._to_export:
                continue
            following = next(waiting, None)
            if following is None:
                return None
            self._begin(*following, screen)
        return None

    def _next_export(self) -> Export:
        footage, outcome = self._to_export.pop(0)
        folder = self._shelf.folder_of(footage.name)
        self._exporting[folder] = footage, outcome
        names = tuple(missing(self._export_files, folder))
        return Export(names, str(folder), tuple(str(segment.path) for segment in footage.segments))

    def _begin(self, number: int, planned: tuple[Footage, Done | None], screen: Screen) -> None:
        footage, mark = planned
        if mark is not None:
            self._whole(_outcome(footage, "kept", counts=mark.counts, refused=mark.refused), footage, screen)
            return
        screen.begin(footage, number)
        origin = self._origin(footage)
        if origin is None:
            reason = f"{footage.shown}: there is no such file any more"
            self._end(_outcome(footage, "refused", reason=reason), footage, screen)
            return
        part = self._shelf.begin(footage.name, origin)
        sinks = self._parts.build_sinks(self._of_results(part))
        tracker = self._parts.build_tracker(self._config)
        job = Job(
            footage,
            origin,
            part,
            joiner=Joiner(footage.name, tracker=tracker, numbering_of=self._parts.numbering_of, sinks=sinks),
            sinks=sinks,
            look_over=self._look_over,
            selection=self._selection,
            workers=self._workers,
        )
        self._jobs.append(job)

    def _look_over(self, recording: Recording) -> Survey:
        source = msgspec.structs.replace(
            self._config.source_configs[0], url=recording.url, source_id="recording", began=recording.began
        )
        return self._parts.survey(source, access=self._access)

    def _hear(self, heard: Heard, screen: Screen) -> None:
        if isinstance(heard.order, Export):
            self._hear_exporter(heard.order, heard.report, screen)
            return
        target = Path(heard.order.target)
        job = next((one for one in self._jobs if one.pieces == target.parent), None)
        if job is not None:  # else it was refused for another of its pieces
            job.hear(target, heard.report)
            screen.step(job.footage, job.frames, job.expected)

    def _hear_exporter(self, order: Export, report: Looked | Finished | Refused, screen: Screen) -> None:
        folder = Path(order.folder)
        footage, outcome = self._exporting[folder]
        if isinstance(report, Looked):
            screen.step(footage, report.frames, outcome.counts.results, doing="export")
            return
        del self._exporting[folder]
        reason = report.reason if isinstance(report, Refused) else ""
        lacking = missing(self._export_files, folder)
        there = tuple(name for name in self._export_files if name not in lacking)
        self._end(msgspec.structs.replace(outcome, reason=reason, exports=there), footage, screen)

    def _join(self, screen: Screen) -> None:
        """What was found, as far as it is there without a hole; results that are whole take their place."""
        for job in [job for job in self._jobs if job.join()]:
            self._jobs.remove(job)
            self._finish(job, screen)

    def _finish(self, job: Job, screen: Screen) -> None:
        footage, counts, refused = job.footage, job.counts, job.refused
        if not counts.frames and not refused:
            why = f"no frame can be decoded, or is of the time that is asked for ({counts.undecoded} packets lost)"
            refused = (f"{footage.shown}: {why}",)
        job.close()
        if len(refused) == len(footage.segments):
            (self._shelf.leave if job.is_crashed else self._shelf.give_up)(footage.name)
            self._end(_outcome(footage, "refused", reason=refused[0], refused=refused), footage, screen)
            return
        mark = Done(source=footage.shown, origin=job.origin, counts=counts, refused=refused, lacks=job.is_crashed)
        self._shelf.finish(footage.name, mark)
        self._whole(_outcome(footage, "done", counts=counts, refused=refused), footage, screen)

    def _whole(self, outcome: Outcome, footage: Footage, screen: Screen) -> None:
        """Results are there; exports of them may not be."""
        if missing(self._export_files, self._shelf.folder_of(footage.name)):
            self._to_export.append((footage, outcome))
        else:
            there = tuple(self._export_files)
            self._end(msgspec.structs.replace(outcome, exports=there), footage, screen)

    def _end(self, outcome: Outcome, footage: Footage, screen: Screen) -> None:
        self._outcomes[footage.name] = outcome
        screen.end(footage, outcome)

    def _of_workers(self) -> PipelineConfig:
        """Everything that a worker must know: one thread each, so that as many as there are cores keep them busy."""
        detector, segmenter = self._config.detector_config, self._config.segmenter_config
        if not self._config.expects_gpu:
            detector = msgspec.structs.replace(detector, threads=1, requests=1)
            segmenter = segmenter and msgspec.structs.replace(segmenter, threads=1)
        nothing, silent = OutputConfig(), PublishConfig(bind=None)
        return check(
            msgspec.structs.replace(
                self._config, detector=detector, segmenter=segmenter, output=nothing, publish=silent, engine="inline"
            )
        )

    def _of_results(self, part: Part) -> PipelineConfig:
        output = OutputConfig(directory=str(part.results))
        return msgspec.structs.replace(self._config, output=output, publish=PublishConfig(bind=None))

    def _origin(self, footage: Footage) -> Origin | None:
        try:
            seen = [(recording, recording.path.stat()) for recording in footage.segments]
        except OSError:
            return None
        files = tuple(
            Seen(size=status.st_size, mtime_ns=status.st_mtime_ns, began=recording.began) for recording, status in seen
        )
        return Origin(files=files, settings=self._settings)


def check_plan(config: PipelineConfig, recordings: Sequence[Recording], directory: str) -> None:
    """Refuse to write among footage that is read. Raises `ConfigError`."""
    target = Path(directory).resolve()
    for recording in recordings:
        if target in recording.path.resolve().parents:
            raise ConfigError(f"--output: {directory} holds the recording {recording.path}; name another folder")


def _outcome(
    footage: Footage,
    state: State,
    *,
    reason: str = "",
    counts: Counts = Counts(),  # noqa: B008 - frozen
    refused: tuple[str, ...] = (),
) -> Outcome:
    return Outcome(name=footage.name, source=footage.shown, state=state, reason=reason, counts=counts, refused=refused)
