"""Footage that is being worked on: which of its pieces are asked for, which are there, and what is joined of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AddressError, SourceError, WorkerError, error_called
from pipeline.footage.cutting import Cut, Selection, cut
from pipeline.footage.joining import Joiner
from pipeline.footage.listing import Footage, Recording
from pipeline.footage.orders import Analyse, Finished, Looked, Refused
from pipeline.footage.shelf import Counts, Origin, Part
from pipeline.messages import Piece, Survey
from pipeline.stage import Sink


@dataclass(slots=True, eq=False)
class _Segment:
    """A recording that was looked over."""

    cuts: Sequence[Cut] = ()
    first_pts: int | None = None  # of all of it, where a part is wanted
    was_cut: bool = False
    joined: int = 0  # pieces
    reason: str = ""  # it was refused
    is_crashed: bool = False  # and not by its own fault, perhaps


class Job:
    """One source's recordings, from looking them over to results that are whole."""

    def __init__(
        self,
        footage: Footage,
        origin: Origin,
        part: Part,
        *,
        joiner: Joiner,
        sinks: Sequence[Sink],
        look_over: Callable[[Recording], Survey],
        selection: Selection,
        workers: int,
    ) -> None:
        """`look_over` raises `SourceError`, `AddressError`. Closing the job closes the sinks."""
        self.footage, self.origin, self.pieces = footage, origin, part.pieces
        self._joiner, self._sinks = joiner, sinks
        self._look_over, self._selection, self._workers = look_over, selection, workers
        self._segments: list[_Segment] = []  # as far as they were looked over
        self._given = 0  # pieces of the last of these that need not be asked for any more
        self._joining = 0  # the segment that is joined
        self._looked: dict[Path, int] = {}  # frames, by the file of a piece
        self._there: set[Path] = set()  # files of pieces that nobody is writing
        self.frames = self.expected = 0  # looked at, and of the segments so far

    @property
    def counts(self) -> Counts:
        """What was joined so far."""
        return self._joiner.counts

    @property
    def refused(self) -> tuple[str, ...]:
        """Why segments were."""
        return tuple(segment.reason for segment in self._segments if segment.reason)

    @property
    def is_crashed(self) -> bool:
        """Whether a worker's end cost frames, which another run may have."""
        return any(segment.is_crashed for segment in self._segments)

    def next_order(self) -> Analyse | None:
        """The next piece that is neither there nor asked for."""
        while True:
            if self._segments and not self._segments[-1].reason:
                number, segment = len(self._segments) - 1, self._segments[-1]
                while self._given < len(segment.cuts):
                    made = segment.cuts[self._given]
                    self._given += 1
                    path = self._file_of(number, made.piece)
                    if not path.is_file():
                        return self._order(self.footage.segments[number], segment, made, path)
                    self._note(path, made.expected, is_there=True)  # of a run before
            if len(self._segments) == len(self.footage.segments):
                return None
            self._segments.append(self._looked_over(self.footage.segments[len(self._segments)]))
            self._given = 0
            self.expected += sum(made.expected for made in self._segments[-1].cuts)

    def hear(self, target: Path, report: Looked | Finished | Refused) -> None:
        """What a worker told of a piece. Raises the error that is not the recording's own."""
        if not isinstance(report, Refused):
            self._note(target, report.frames, is_there=isinstance(report, Finished))
            return
        error = error_called(report.kind, report.reason)
        if not isinstance(error, SourceError | WorkerError):
            raise error
        segment = self._segments[int(target.stem.partition("_")[0])]
        segment.reason = segment.reason or report.reason
        segment.is_crashed |= isinstance(error, WorkerError)

    def join(self) -> bool:
        """Join what is there without a hole; whether that is all. Raises `SinkError`."""
        while self._joining < len(self._segments):
            segment = self._segments[self._joining]
            if segment.reason:
                self._joiner.lose_segment()
            elif segment.joined < len(segment.cuts):
                path = self._file_of(self._joining, segment.cuts[segment.joined].piece)
                if path not in self._there:
                    return False
                self._joiner.add(path, first_pts=segment.first_pts, whole=self._selection.is_whole)
                segment.joined += 1
                continue
            self._joiner.begin_segment()
            self._joining += 1
        return self._joining == len(self.footage.segments)

    def close(self) -> None:
        """Close its files. Raises `SinkError`."""
        for sink in self._sinks:
            sink.close()

    def _note(self, path: Path, frames: int, *, is_there: bool) -> None:
        self.frames += frames - self._looked.get(path, 0)
        self._looked[path] = frames
        if is_there:
            self._there.add(path)

    def _order(self, recording: Recording, segment: _Segment, made: Cut, path: Path) -> Analyse:
        return Analyse(
            recording=recording.url,
            began=recording.began,
            piece=made.piece,
            selection=self._selection,
            was_cut=segment.was_cut,
            target=str(path),
            analysed=None if made.analysed is None else made.analysed.tobytes(),
        )

    def _looked_over(self, recording: Recording) -> _Segment:
        try:
            survey = self._look_over(recording)
        except (SourceError, AddressError) as exc:
            return _Segment(reason=str(exc))
        cuts = cut(survey, self._selection, workers=self._workers)
        is_part = survey.can_be_cut and self._selection.begin is not None
        is_alone = len(self.footage.segments) == 1
        return _Segment(
            cuts,
            int(survey.pts[0]) if is_part else None,
            survey.can_be_cut,
            reason="" if cuts or not is_alone else f"{recording.path}: it has nothing of the time that is asked for",
        )

    def _file_of(self, segment: int, piece: Piece) -> Path:
        """By its time, so that a run that cuts otherwise takes it for no other."""
        begin, end = ("" if edge is None else edge for edge in (piece.begin, piece.end))
        return self.pieces / f"{segment}_{begin}_{end}.piece"
