"""Working through recordings: pieces to workers, what they found joined, tracked and written, file by file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from pipeline.config import OutputConfig, PipelineConfig, PublishConfig, SourceConfig, check
from pipeline.errors import AddressError, ConfigError, SourceError, WorkerError, error_called
from pipeline.footage.crew import Crew, Heard
from pipeline.footage.cutting import Cut, Selection, cut
from pipeline.footage.digest import settings_digest
from pipeline.footage.exporting import missing
from pipeline.footage.joining import Joiner, NumberingOf
from pipeline.footage.listing import REPORT, Footage, Recording
from pipeline.footage.shelf import Counts, Done, Origin, Part, Seen, Shelf
from pipeline.footage.worker import Analyse, Export, Finished, Looked, Refused
from pipeline.messages import Piece, Survey
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


@dataclass(slots=True, eq=False)
class _Segment:
    """A recording that is being worked on."""

    recording: Recording
    cuts: list[Cut]
    first_pts: int | None  # of all of it, where a part is wanted
    was_cut: bool
    given: int = 0  # pieces
    joined: int = 0
    reason: str = ""  # it was refused
    is_crashed: bool = False  # and not by its own fault, perhaps


@dataclass(slots=True, eq=False)
class _Job:
    """Footage that is being worked on."""

    footage: Footage
    origin: Origin
    part: Part
    joiner: Joiner
    sinks: Sequence[Sink]
    segments: list[_Segment | None] = field(default_factory=list)  # None: not looked over yet
    joining: int = 0
    frames: dict[Path, int] = field(default_factory=dict)  # looked at, by the file of a piece
    there: set[Path] = field(default_factory=set)  # files of pieces that nobody is writing

    @property
    def is_joined(self) -> bool:
        return self.joining == len(self.segments)

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(segment.reason for segment in self.segments if segment is not None and segment.reason)

    def file_of(self, segment: int, piece: Piece) -> Path:
        """By its time, so that a run that cuts otherwise takes it for no other."""
        begin, end = ("" if edge is None else edge for edge in (piece.begin, piece.end))
        return self.part.pieces / f"{segment}_{begin}_{end}.piece"


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
        self._jobs: list[_Job] = []
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
                    _close(job)
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
        if self._to_export:
            footage, outcome = self._to_export.pop(0)
            folder = self._shelf.folder_of(footage.name)
            self._exporting[folder] = footage, outcome
            names = tuple(missing(self._export_files, folder))
            return Export(names, str(folder), tuple(str(segment.path) for segment in footage.segments))
        for job in self._jobs:
            order = self._order_of(job)
            if order is not None:
                return order
        for number, (footage, mark) in waiting:
            if self._stopping:
                return None
            if mark is not None:
                self._whole(_outcome(footage, "kept", counts=mark.counts, refused=mark.refused), footage, screen)
                if self._to_export:
                    return self._next_order(waiting, screen)
                continue
            screen.begin(footage, number)
            begun = self._begun(footage, screen)
            if begun is not None and (order := self._order_of(begun)) is not None:
                return order
            self._join(screen)
            if self._to_export:
                return self._next_order(waiting, screen)
        return None

    def _begun(self, footage: Footage, screen: Screen) -> _Job | None:
        origin = self._origin(footage)
        if origin is None:
            reason = f"{footage.shown}: there is no such file any more"
            self._end(_outcome(footage, "refused", reason=reason), footage, screen)
            return None
        part = self._shelf.begin(footage.name, origin)
        sinks = self._parts.build_sinks(self._of_results(part))
        tracker = self._parts.build_tracker(self._config)
        joiner = Joiner(footage.name, tracker=tracker, numbering_of=self._parts.numbering_of, sinks=sinks)
        job = _Job(footage, origin, part, joiner, sinks, [None] * len(footage.segments))
        self._jobs.append(job)
        return job

    def _order_of(self, job: _Job) -> Analyse | None:
        """Its next piece that is neither looked at nor being looked at."""
        for number, recording in enumerate(job.footage.segments):
            segment = job.segments[number]
            if segment is None:
                segment = job.segments[number] = self._looked_over(recording, alone=len(job.segments) == 1)
            while not segment.reason and segment.given < len(segment.cuts):
                piece, path = segment.cuts[segment.given], job.file_of(number, segment.cuts[segment.given].piece)
                segment.given += 1
                if path.is_file():
                    job.frames[path] = piece.expected
                    job.there.add(path)
                    continue
                return Analyse(
                    recording=_url(recording),
                    began=recording.began,
                    piece=piece.piece,
                    selection=self._selection,
                    was_cut=segment.was_cut,
                    target=str(path),
                    analysed=None if piece.analysed is None else piece.analysed.tobytes(),
                )
        return None

    def _looked_over(self, recording: Recording, *, alone: bool) -> _Segment:
        source = msgspec.structs.replace(
            self._config.source_configs[0], url=_url(recording), source_id="recording", began=recording.began
        )
        try:
            survey = self._parts.survey(source, access=self._access)
        except (SourceError, AddressError) as exc:
            return _Segment(recording, [], None, False, reason=str(exc))
        cuts = cut(survey, self._selection, workers=self._workers)
        first_pts = int(survey.pts[0]) if survey.can_be_cut and self._selection.begin is not None else None
        reason = "" if cuts or not alone else f"{recording.path}: it has nothing of the time that is asked for"
        return _Segment(recording, cuts, first_pts, survey.can_be_cut, reason=reason)

    def _hear(self, heard: Heard, screen: Screen) -> None:
        if isinstance(heard.order, Export):
            self._hear_exporter(heard.order, heard.report, screen)
            return
        path = Path(heard.order.target)
        job = next((one for one in self._jobs if one.part.pieces == path.parent), None)
        if job is None:
            return  # it was refused for another of its pieces
        match heard.report:
            case Looked(frames):
                job.frames[path] = frames
            case Finished(frames):
                job.frames[path] = frames
                job.there.add(path)
            case Refused(reason, kind):
                error = error_called(kind, reason)
                if not isinstance(error, SourceError | WorkerError):
                    raise error
                segment = job.segments[int(path.stem.partition("_")[0])]
                assert segment is not None
                segment.reason = segment.reason or reason
                segment.is_crashed |= isinstance(error, WorkerError)
        expected = sum(one.expected for made in job.segments if made is not None for one in made.cuts)
        screen.step(job.footage, sum(job.frames.values()), expected)

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
        for job in list(self._jobs):
            while not job.is_joined and self._joins(job):
                pass
            if job.is_joined:
                self._jobs.remove(job)
                self._finish(job, screen)

    def _joins(self, job: _Job) -> bool:
        """Join one piece, or pass to the next segment; False where there is nothing to join yet."""
        segment = job.segments[job.joining]
        if segment is None:
            return False
        if segment.reason or segment.joined == len(segment.cuts):
            if segment.reason:
                job.joiner.lose_segment()
            job.joiner.begin_segment()
            job.joining += 1
            return True
        path = job.file_of(job.joining, segment.cuts[segment.joined].piece)
        if path not in job.there:
            return False
        selection = self._selection
        whole = selection.begin is None and selection.end is None and not selection.keyframes
        job.joiner.add(path, first_pts=segment.first_pts, whole=whole)
        segment.joined += 1
        return True

    def _finish(self, job: _Job, screen: Screen) -> None:
        footage, counts, refused = job.footage, job.joiner.counts, job.refused
        if not counts.frames and not refused:
            why = (
                f"no frame of it can be decoded, or is of the time that is asked for ({counts.undecoded} packets lost)"
            )
            refused = (f"{footage.shown}: {why}",)
        _close(job)
        crashed = any(segment is not None and segment.is_crashed for segment in job.segments)
        if len(refused) == len(footage.segments):
            (self._shelf.leave if crashed else self._shelf.give_up)(footage.name)
            self._end(_outcome(footage, "refused", reason=refused[0], refused=refused), footage, screen)
            return
        mark = Done(source=footage.shown, origin=job.origin, counts=counts, refused=refused, lacks=crashed)
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
        detector = self._config.detector_config
        if not self._config.expects_gpu:
            detector = msgspec.structs.replace(detector, threads=1, requests=1)
        nothing, silent = OutputConfig(), PublishConfig(bind=None)
        return check(
            msgspec.structs.replace(self._config, detector=detector, output=nothing, publish=silent, engine="inline")
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


def _url(recording: Recording) -> str:
    """Its path from the root, which nobody takes for an address."""
    return str(recording.path.absolute())


def _close(job: _Job) -> None:
    for sink in job.sinks:
        sink.close()


def _outcome(
    footage: Footage,
    state: State,
    *,
    reason: str = "",
    counts: Counts = Counts(),  # noqa: B008 - frozen
    refused: tuple[str, ...] = (),
) -> Outcome:
    return Outcome(name=footage.name, source=footage.shown, state=state, reason=reason, counts=counts, refused=refused)
