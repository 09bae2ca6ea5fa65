"""A page about a recording that can be sent to somebody: one file, no script, nothing fetched."""

from __future__ import annotations

from typing import Any

import msgspec

from stages.exports.entry import Entry, Job
from stages.exports.place import Part, written
from stages.exports.report_page import Facts, page
from stages.exports.report_pictures import report_pictures
from stages.exports.report_tally import Tally

MARK = "done.json"


def _shown(job: Job) -> str:
    """The name of the file; of several, of the first, and how many there are."""
    first, *others = (video.name for video in job.videos)
    return f"{first} and {len(others)} more" if others else first


class ReportExport:
    """`report.html`."""

    wants_pictures = False  # a dozen, which are sought when it is known which

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._job = job
        self._place = Part(job.folder / "report.html")
        self._tally = Tally()

    def add(self, entry: Entry) -> None:
        """Take in what comes next."""
        self._tally.add(entry)

    def finish(self) -> None:
        """The page into its place. Raises `SinkError`, `SourceError`, `Stopped`."""
        tracks = self._tally.longest()
        pictures = report_pictures(self._tally, tracks, self._job)
        counts = self._counts()
        facts = Facts(
            file=_shown(self._job),
            name=self._tally.source_id or self._job.source.source_id,
            undecoded=counts.get("undecoded"),
            damaged=counts.get("damaged"),
        )
        with written(self._place.path):
            self._place.part.write_bytes(page(facts, self._tally, tracks, pictures).encode("utf-8", "replace"))
        self._place.into_place()

    def _counts(self) -> dict[str, int]:
        """What the run counted, where its mark is there already."""
        try:
            mark: Any = msgspec.json.decode((self._job.folder / MARK).read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}
        counts = mark.get("counts") if isinstance(mark, dict) else None
        return {k: v for k, v in counts.items() if isinstance(v, int)} if isinstance(counts, dict) else {}

    def abandon(self) -> None:
        """Throw away what is not in place."""
        self._place.discard()
