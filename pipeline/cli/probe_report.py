"""A probe's report: what is printed with ``--format json``, and what the screen is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.cli.probe_run import Outcome
from pipeline.cli.probe_verdict import Verdict, Word, verdict_on
from pipeline.config import SourceConfig
from pipeline.messages.findings import Findings

NVIDIA: Final = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe came to."""

    source: str  # its address, without credentials
    verdict: Word
    reasons: tuple[str, ...]
    error: str | None  # the class of `pipeline.errors` that made it unusable
    nvdec: str | None  # whether NVIDIA's decoder would take it, and that it was not tried
    found: Findings | None

    @property
    def usable(self) -> bool:
        """Whether a run with this source would give results."""
        return Verdict(self.verdict).usable


def report_of(source: SourceConfig, outcome: Outcome, *, gpus: Path = NVIDIA) -> Report:
    """The report on a probe that has ended."""
    verdict, found = verdict_on(outcome), outcome.findings
    return Report(
        source=source.shown,
        verdict=verdict.word,
        reasons=tuple(reason.removeprefix(f"{source.source_id}: ") for reason in verdict.reasons),
        error=None if outcome.error is None else type(outcome.error).__name__,
        nvdec=None if found is None else nvdec_words(found.stream.nvdec_refuses, gpus=gpus),
        found=found,
    )


def nvdec_words(refusal: str | None, *, gpus: Path = NVIDIA) -> str:
    """What can be said about NVIDIA's decoder without having tried it."""
    known = f"cannot decode it: {refusal}" if refusal else "should decode it, by NVIDIA's table"
    why = "this version decodes on the CPU" if gpus.is_dir() and any(gpus.iterdir()) else "no NVIDIA GPU here"
    return f"{known}; not tried: {why}"
