"""Which exports there are, which files each writes, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from pipeline.errors import ConfigError
from stages.exports.entry import Export, Job


@dataclass(frozen=True, slots=True)
class Kind:
    """One export."""

    files: tuple[str, ...]  # what it writes into the recording's folder; a folder ends with a slash
    make: Callable[[Job], Export] | None  # None: the run itself has written it
    package: str = ""  # that must be importable
    extra: str = ""  # which brings it along


def _parquet(job: Job) -> Export:
    from stages.exports.parquet import ParquetExport

    return ParquetExport(job)


def _coco(job: Job) -> Export:
    from stages.exports.coco import CocoExport

    return CocoExport(job)


def _panoptic(job: Job) -> Export:
    from stages.exports.panoptic import PanopticExport

    return PanopticExport(job)


def _mot(job: Job) -> Export:
    from stages.exports.mot import MotExport

    return MotExport(job)


def _video(job: Job) -> Export:
    from stages.exports.video import VideoExport

    return VideoExport(job)


def _report(job: Job) -> Export:
    from stages.exports.report import ReportExport

    return ReportExport(job)


EXPORTS: Final[dict[str, Kind]] = {
    "jsonl": Kind(("results.jsonl",), None),
    "parquet": Kind(("frames.parquet", "objects.parquet"), _parquet, package="pyarrow", extra="parquet"),
    "coco": Kind(("coco.json",), _coco),
    "coco-panoptic": Kind(("panoptic/", "panoptic.json"), _panoptic),
    "mot": Kind(("mot/",), _mot),
    "video": Kind(("annotated.mp4",), _video),
    "report": Kind(("report.html",), _report),
}


def check_exports(names: Sequence[str]) -> None:
    """Refuse, before any work, what could not be made. Raises `ConfigError`."""
    for name in names:
        if name not in EXPORTS:
            raise ConfigError(f"export: {name!r} is unknown; {', '.join(EXPORTS)} are there")
        kind = EXPORTS[name]
        if kind.package and find_spec(kind.package) is None:
            raise ConfigError(
                f"export: {name} needs the package {kind.package}, which is missing; "
                f"pip install 'everyframe[{kind.extra}]'"
            )
