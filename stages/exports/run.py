"""One way through a recording's results, and its pictures where one is drawn on, for all exports at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.config import SourceConfig
from pipeline.errors import ConfigError
from stages.exports.entry import Export, Job, Stopped, numbered
from stages.exports.kinds import EXPORTS, check_exports
from stages.exports.lines import count_lines, read_items
from stages.exports.pictures import Pictures

GLANCE_ITEMS = 16  # between two words on how far it is


def export_recording(
    names: Sequence[str],
    *,
    results: Path,
    folder: Path,
    video: Path | Sequence[Path],
    source: SourceConfig,
    tell: Callable[[int, int | None], None],
    stopping: Callable[[], bool],
) -> None:
    """Make the exports `names` (keys of `EXPORTS`) of a recording.

    Each of their files appears in `folder` whole, in place of an earlier one, when all was read. Memory does not grow
    with the recording. The same results give the same bytes.

    Args:
        names: those that the run writes anyway (`jsonl`) need nothing.
        results: `results.jsonl` of the recording.
        folder: where the files go; `done.json` there, if it is, tells what could not be decoded.
        video: the recording itself, or its segments in order; read only where pictures are needed.
        source: the settings it was analysed with; its address is not used, and its name where there is no result.
        tell: given how many lines of `results` are done, and how many there are.
        stopping: asked all the time; True has it end soon, and nothing appear that is not there yet.

    Raises:
        ConfigError: a name is unknown, or a package is missing.
        SinkError: a file cannot be written, or `results` not be read.
        SourceError: the recording cannot be read, or is not the one that the results are of.
        WireError: a line of `results` is none.
    """
    check_exports(names)
    videos = (video,) if isinstance(video, Path) else tuple(video)
    job = Job(results, folder, videos, source, stopping)
    exports: list[Export] = []
    try:
        for name in dict.fromkeys(names):
            make = EXPORTS[name].make
            if make is not None:
                exports.append(_made(name, make, job))
        if exports:
            _run(exports, job, tell)
    except Stopped:
        return
    finally:
        for export in exports:
            export.abandon()


def _made(name: str, make: Callable[[Job], Export], job: Job) -> Export:
    try:
        return make(job)
    except ImportError as exc:  # there, and broken
        raise ConfigError(f"export: {name} cannot be made: {exc}") from exc


def _run(exports: list[Export], job: Job, tell: Callable[[int, int | None], None]) -> None:
    total = count_lines(job.results)
    pictured = any(export.wants_pictures for export in exports)
    with closing(Pictures(job)) as pictures:
        for done, entry in enumerate(numbered(read_items(job.results))):
            job.check()
            if done % GLANCE_ITEMS == 0:
                tell(done, total)
            if pictured and entry.result is not None:
                entry.surface = pictures.of(entry.result)
            for export in exports:
                export.add(entry)
    tell(total, total)
    for export in exports:
        export.finish()
