"""A network made fast at one's own scene: label, measure, train shortly, measure again, and keep what is better.

Every step leaves a file in the output folder, written whole or not at all; the same again goes on after the last one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline.errors import DataError, SinkError
from stages.models.adaptation.comparing import Measured, find, measure, shifts_of, times
from stages.models.adaptation.found import Found
from stages.models.adaptation.labelling import Labelled, OpenTeacher, label_footage
from stages.models.adaptation.pictured import labels_of, side_by_side, telling, write_png
from stages.models.adaptation.plan import (
    CHECKPOINT,
    LABELS,
    AdaptPlan,
    check_same,
    settings_of,
    spec_of,
    start_of,
    taxonomy_of,
)
from stages.models.adaptation.teacher import checksum_of, open_teacher
from stages.models.adaptation.tuning import TunePlan, fine_tune
from stages.models.adaptation.written import add_figures, copy_whole, export_to, read_json, write_json
from stages.models.labelled.ending import Asked, ending, never
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.parts import Progress
from stages.models.labelled.sample import unpack

NAME: Final = "adapted"
SETTINGS, BEFORE, AFTER, REPORT = "settings.json", "before.json", "after.json", "report.json"
PICTURE: Final = "comparison.png"
TRIED: Final = "tried"
TRUTH: Final = "the labels of the teacher, not of people: what it misses or invents counts as true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What came of it.

    Attributes:
        model: the ONNX file to run; None where it got no better.
        tried: the ONNX file that was made.
        before, after: on the held-out frames.
        milliseconds: median time a frame, by model.
        told: the whole report.
    """

    model: Path | None
    tried: Path
    before: Measured
    after: Measured
    milliseconds: dict[str, float]
    told: dict[str, Any]


Tune = Callable[..., Any]


def adapt(
    plan: AdaptPlan,
    *,
    progress: Progress | None = None,
    interrupted: Asked = never,
    teacher: OpenTeacher = open_teacher,
    tune: Tune = fine_tune,
) -> Adapted:
    """Label, measure, train, export, measure again, and say which is better.

    Args:
        plan: what.
        progress: told how far it is.
        interrupted: asked now and then whether to end.
        teacher: makes a teacher of its name.
        tune: trains; see `fine_tune`.

    Raises:
        ConfigError: for settings that cannot be, or a folder that was begun with others.
        DataError: for footage that nothing can be learnt from.
        ModelError: when a network cannot be loaded, run or exported.
        SinkError: when the folder cannot be written to; what was done is kept.
        Interrupted: when it was asked to end; what was done is kept.
    """
    try:
        return _Adaptation(plan, progress, interrupted, teacher, tune).run()
    except OSError as exc:
        raise SinkError(
            f"{plan.output}: cannot be written ({exc.strerror or exc}); what was done is kept, and the same command "
            "goes on from it"
        ) from exc


class _Adaptation:
    """The steps, each done or read."""

    def __init__(
        self, plan: AdaptPlan, progress: Progress | None, interrupted: Asked, teacher: OpenTeacher, tune: Tune
    ) -> None:
        self.plan, self.teacher = plan, teacher
        self.progress = ending(progress, interrupted)
        self.tune = partial(tune, progress=progress, interrupted=interrupted)
        self.start = self.given = start_of(plan)  # the file to run, and the file that was given
        self.taxonomy = taxonomy_of(self.given)
        self.tried = plan.output / TRIED / f"{NAME}.onnx"

    def run(self) -> Adapted:
        """All of them in order."""
        settings, path = settings_of(self.plan, self.given), self.plan.output / SETTINGS
        if path.is_file():
            check_same(read_json(path), settings, self.plan.output)
        labelled = self._labelled()
        write_json(path, settings)  # not before: what could not be labelled may be asked for otherwise
        if self.given.suffix == CHECKPOINT:
            self.start = self._exported(labelled)
        before = self._measured(BEFORE, str(self.start), labelled.held_out)
        if not self.tried.with_suffix(".json").is_file():
            self._train(labelled)
        after = self._measured(AFTER, str(self.tried), labelled.held_out)
        better = after.mean_ap50 > before.mean_ap50
        report = self.plan.output / REPORT
        if not report.is_file():
            told = {"better": better, **self._told(labelled, before, after)}
            self._place(told, better=better)
            write_json(report, told)
        told = read_json(report)
        return Adapted(
            model=self.plan.output / f"{NAME}.onnx" if better else None,
            tried=self.tried,
            before=before,
            after=after,
            milliseconds=told["milliseconds"],
            told=told,
        )

    def _labelled(self) -> Labelled:
        labelled = label_footage(
            self.plan.footage,
            self.plan.labels,
            self.taxonomy,
            self.plan.output / LABELS,
            progress=self.progress,
            teacher=self.teacher,
            checksum=checksum_of if self.teacher is open_teacher else str,
        )
        if not labelled.held_out:
            raise DataError("nothing of the footage is held out to measure on; give a --hold-out above 0")
        return labelled

    def _exported(self, labelled: Labelled) -> Path:
        """The checkpoint that was given, as a file to run."""
        from stages.models.training.checkpoint import read_checkpoint

        path = self.plan.output / "start" / f"{self.given.stem}.onnx"
        if not path.with_suffix(".json").is_file():
            found = read_checkpoint(self.given)
            export_to(path, found.network, labelled.train, self.taxonomy, told=found.training)
        return path

    def _measured(self, file: str, model: str, samples: Sequence[KeyedSample]) -> Measured:
        path = self.plan.output / file
        if not path.is_file():
            said = f"measuring {path.stem}"
            write_json(path, asdict(measure(model, samples, self.taxonomy, said=said, progress=self.progress)))
        try:
            return Measured.read(read_json(path))
        except (KeyError, TypeError) as exc:
            raise DataError(f"{path}: holds no figures ({exc}); delete it, and it is made again") from exc

    def _train(self, labelled: Labelled) -> None:
        plan = TunePlan(
            start=self.start,
            weights=self.given,
            footage=spec_of(self.plan),
            pictures=len(labelled.train),
            minutes=self.plan.minutes,
            steps=self.plan.steps,
            rehearse=self.plan.rehearse,
            seed=self.plan.seed,
        )
        network = self.tune(plan, self.taxonomy, self.plan.output / "training")
        told = in_words(self.plan, self.given, pictures=len(labelled.train))
        raw = self.plan.output / TRIED / "raw" / f"{NAME}.onnx"
        export_to(raw, network, labelled.train, self.taxonomy, told=told, like=self.start)
        shifts = shifts_of(raw, labelled.train, self.taxonomy)
        export_to(self.tried, network, labelled.train, self.taxonomy, told=told, like=raw, shifts=shifts)
        shutil.rmtree(raw.parent)

    def _told(self, labelled: Labelled, before: Measured, after: Measured) -> dict[str, Any]:
        """The report; its picture is written."""
        shown = [labelled.held_out[row] for row in telling(labelled.held_out)]
        images = [unpack(one.sample).image for one in shown]
        teachers = [self.teacher(name, self.taxonomy) for name in self.plan.labels.teachers]
        columns: dict[str, Sequence[Found]] = {
            f"before: {self.start.stem}": find(str(self.start), images, self.taxonomy),
            "after": find(str(self.tried), images, self.taxonomy),
            f"labels: {', '.join(one.name for one in teachers)}": [labels_of(one.sample) for one in shown],
        }
        seconds = [float(one.key.rpartition("@")[2]) for one in shown]
        picture = side_by_side(images, columns, self.taxonomy.things, seconds=seconds)
        write_png(picture, self.plan.output / PICTURE)
        return {
            "truth": TRUTH,
            "mean_ap50": {"before": round(before.mean_ap50, 4), "after": round(after.mean_ap50, 4)},
            "before": asdict(before),
            "after": asdict(after),
            "milliseconds": times(teachers, str(self.tried), images),
            "labels": labelled.told,
            "settings": settings_of(self.plan, self.given),
            "pictures": [one.key for one in shown],
        }

    def _place(self, told: dict[str, Any], *, better: bool) -> None:
        """Put what was measured on the card, and a better network where it is to be run from."""
        figures = {"held-out footage": told["mean_ap50"], "truth": TRUTH, "ap50": told["after"]["ap50"]}
        add_figures(self.tried, figures)
        if better:
            for suffix in (".onnx", ".json"):  # the card last: without it the file is not ours
                copy_whole(self.tried.with_suffix(suffix), self.plan.output / f"{NAME}{suffix}")


def in_words(plan: AdaptPlan, start: Path, *, pictures: int) -> str:
    """How it was trained, for the card."""
    names = ", ".join(path.name for path in plan.footage)
    length = f"{plan.minutes:g} minutes" if plan.steps is None else f"{plan.steps} steps"
    teachers = ", ".join(Path(one).name for one in plan.labels.teachers)
    streets = f", {plan.rehearse:.0%} of the pictures synthetic streets" if plan.rehearse else ""
    return (
        f"everyframe adapt: {length} from {start.stem} on {pictures} frames of {names} labelled by {teachers}{streets}"
    )
