"""An evaluation as it is asked for: which models, on what, and what is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ConfigError, DataError
from pipeline.messages import Classes
from stages.detect.build import WEIGHTS
from stages.models.evaluation.card import put_on_card
from stages.models.evaluation.figures import Figures
from stages.models.evaluation.files import write_files
from stages.models.evaluation.latency import PICTURES, measure_latency, parameters_of
from stages.models.evaluation.measure import DataSet, Settings, measure, silent
from stages.models.evaluation.subject import SCORE_FLOOR, Subject
from stages.models.evaluation.worlds import UnseenWorlds
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.specs import CocoPanopticSpec, CocoSpec, DataSpec, WorldSpec, open_pictures
from stages.models.labelled.taxonomy import MOST_STUFF, Taxonomy

PACKAGES: Final = ("faster_coco_eval",)
LATENCY_IMAGES: Final = 12  # kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        models: names or files; figures are of all of them, side by side.
        specs: labelled pictures.
        worlds: so many unseen synthetic worlds, two frames each; 0: none.
        first_seed: of the first of them.
        part: of the pictures of `specs`.
        score_floor: boxes from here count in AP.
        counted_score: boxes from here are counted in the confusion matrix.
        threads: of inference, while time is taken; 0: all cores.
        latency_pictures: timed; 0: none.
        output: folder for files; None: none are written.
        on_card: whether the figures go on the card beside the only model.
    """

    models: Sequence[str] = (EMBEDDED_MODEL,)
    specs: Sequence[DataSpec] = ()
    worlds: int = 0
    first_seed: int = 1_000_000
    part: Part = "all"
    taxonomy: Taxonomy | None = None
    score_floor: float = SCORE_FLOOR
    counted_score: float = 0.4
    threads: int = 1
    latency_pictures: int = PICTURES
    output: Path | None = None
    on_card: bool = False


def evaluate(request: Request, *, progress: Progress = silent) -> tuple[Figures, list[Path]]:
    """Measure, and write what is to be written; the figures and the files.

    Raises:
        ConfigError: for what cannot be asked for together, or a package that is missing.
        ModelError: when a model cannot be loaded or fails.
        DataError: when pictures or labels cannot be read.
        SinkError: when files cannot be written.
    """
    check_packages()
    if request.on_card and len(request.models) > 1:
        raise ConfigError(f"--on-card: {len(request.models)} models are measured; a card is of one")
    if len(set(request.models)) < len(request.models):
        raise ConfigError("--model: one is named twice")
    subjects = [Subject(model, score_floor=request.score_floor) for model in request.models]
    taxonomy = request.taxonomy or taxonomy_of([subject.classes for subject in subjects])
    sets = open_sets(request, taxonomy, progress)
    settings = Settings(counted_score=request.counted_score)
    figures = measure(subjects, sets, taxonomy, settings=settings, progress=progress)
    figures.settings["score_floor"] = request.score_floor
    del subjects
    _measure_cost(request, figures, sets)
    written = [] if request.output is None else write_files(figures, request.output)
    if request.on_card:
        written.append(put_on_card(file_of(request.models[0]), figures))
    return figures, written


def check_packages() -> None:
    """Refuse to begin without what is needed. Raises `ConfigError`."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise ConfigError(f"evaluate: the package {package} is missing; pip install 'everyframe[eval]'")


def file_of(model: str) -> Path:
    """Where a model lies."""
    return WEIGHTS / f"{EMBEDDED_MODEL}.onnx" if model == EMBEDDED_MODEL else Path(model)


def taxonomy_of(models: Sequence[Classes]) -> Taxonomy:
    """All models' classes: the first model's, then what the others have more."""
    things = tuple(dict.fromkeys(name for classes in models for name in classes.things))
    stuff = tuple(name for name in dict.fromkeys(n for c in models for n in c.stuff) if name not in things)
    return Taxonomy(classes=Classes(things, stuff[:MOST_STUFF]))


def open_sets(request: Request, taxonomy: Taxonomy, progress: Progress) -> list[DataSet]:
    """The pictures. Raises `ConfigError`, `DataError`."""
    sets: list[DataSet] = []
    for spec in request.specs:
        opened = open_pictures(spec, taxonomy, part=request.part, progress=progress)
        sets.append(DataSet(opened, "world" if isinstance(spec, WorldSpec) else "coco"))
    if request.worlds:
        worlds: Pictures = UnseenWorlds(taxonomy=taxonomy, worlds=request.worlds, first_seed=request.first_seed)
        sets.append(DataSet(worlds, "world"))
    sets = [one for one in sets if len(one.pictures)]
    if not sets:
        raise DataError(f"there is no picture to measure on (part: {request.part})")
    return sets


def coco_spec(images: str, labels: str, *, hold_out: float, limit: int | None) -> CocoSpec:
    """COCO instances. Raises `ConfigError`."""
    return CocoSpec(images=images, labels=labels, hold_out=hold_out, limit=limit)


def coco_panoptic_spec(
    images: str, labels: str, segments: str, *, hold_out: float, limit: int | None
) -> CocoPanopticSpec:
    """COCO panoptic. Raises `ConfigError`."""
    return CocoPanopticSpec(images=images, labels=labels, segments=segments, hold_out=hold_out, limit=limit)


def _measure_cost(request: Request, figures: Figures, sets: Sequence[DataSet]) -> None:
    """Parameters, sizes and times."""
    for model, name in zip(figures.models, request.models, strict=True):
        model.parameters = parameters_of(file_of(name))
        model.file_bytes = file_of(name).stat().st_size
    if not request.latency_pictures:
        return
    pictures = sets[0].pictures
    images = [pictures[index].image for index in range(min(LATENCY_IMAGES, len(pictures)))]
    subjects = [Subject(name, score_floor=None, threads=request.threads) for name in request.models]
    times = measure_latency(subjects, images, threads=request.threads, pictures=request.latency_pictures)
    for model, latency in zip(figures.models, times, strict=True):
        model.latency = latency
