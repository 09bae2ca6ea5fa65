"""An evaluation as it is asked for: which models, on what, and what is left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ConfigError, DataError
from stages.models.backend import PictureSize, files_of
from stages.models.evaluation.augmentation import Augmentation
from stages.models.evaluation.card import put_on_card
from stages.models.evaluation.clips import Clip, WorldClip
from stages.models.evaluation.data_file import read_data_file
from stages.models.evaluation.figures import Figures
from stages.models.evaluation.files import write_files
from stages.models.evaluation.latency import PICTURES, measure_latency, parameters_of
from stages.models.evaluation.measure import COUNTED_SCORE, DataSet, Settings, judged_labels, measure, silent
from stages.models.evaluation.measure_clips import measure_clips
from stages.models.evaluation.models import CHECKPOINT, ModelFile, file_of, model_files, taxonomy_of
from stages.models.evaluation.mot_clip import open_mot
from stages.models.evaluation.subject import SCORE_FLOOR, Subject
from stages.models.evaluation.worlds import UNSEEN_SEED, UnseenWorlds
from stages.models.extras import need
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.specs import CocoPanopticSpec, CocoSpec, DataSpec, WorldSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy

LATENCY_IMAGES: Final = 12  # kept in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        models: names or files; figures are of all of them, side by side.
        data: recipes, or files with their `data` alone.
        coco: pictures and instances.json, of each set.
        coco_panoptic: pictures, panoptic.json and the folder of PNG files, of each set.
        hold_out: share of the photographs that training never sees; None: as the recipe says, else nothing.
        part: which pictures of `data` and the COCO sets; None: what is held out, where something is, else all.
        limit: most pictures of each of them.
        worlds: so many unseen synthetic worlds, two frames each; 0: none.
        clips: so many synthetic clips; 0: none.
        clip_seconds: their length.
        first_seed: of the first world and clip.
        mot: folders in MOTChallenge's layout, with frames.
        score_floor: boxes from here count in AP.
        settings: what else figures depend on.
        augmentation: how often a picture is looked at; None: once.
        picture_size: width and height of the picture that networks are given which take any; None: as a model's card
            says, of a checkpoint 640x352.
        threads: of inference, while time is taken; 0: all cores.
        latency_pictures: timed; 0: none.
        output: folder for files; None: none are written.
        on_card: whether the figures go on the card beside the only model.
    """

    models: Sequence[str] = (EMBEDDED_MODEL,)
    data: Sequence[Path] = ()
    coco: Sequence[tuple[str, str]] = ()
    coco_panoptic: Sequence[tuple[str, str, str]] = ()
    hold_out: float | None = None
    part: Part | None = None
    limit: int | None = None
    worlds: int = 0
    clips: int = 0
    clip_seconds: float = 8.0
    first_seed: int = UNSEEN_SEED
    mot: Sequence[Path] = ()
    score_floor: float = SCORE_FLOOR
    settings: Settings = Settings(counted_score=COUNTED_SCORE)
    augmentation: Augmentation | None = None
    picture_size: PictureSize | None = None
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
    check(request)
    with tempfile.TemporaryDirectory(prefix="everyframe-evaluate-") as folder:
        files = model_files(request.models, Path(folder), size=request.picture_size)
        figures = _measured(request, files, progress)
    written = [] if request.output is None else write_files(figures, request.output)
    if request.on_card:
        written.append(put_on_card(file_of(request.models[0]), figures))
    return figures, written


def check(request: Request) -> None:
    """Refuse what cannot be done before anything is loaded. Raises `ConfigError`."""
    need("evaluate", "faster_coco_eval", *(["trackeval"] if request.clips or request.mot else []), extra="eval")
    if request.on_card and len(request.models) > 1:
        raise ConfigError(f"--on-card: {len(request.models)} models are measured; a card is of one")
    if request.on_card and request.picture_size is not None:
        raise ConfigError("--on-card: figures on a card are of pictures of the size it tells; leave out --size")
    if request.on_card and Path(request.models[0]).suffix == CHECKPOINT:
        raise ConfigError("--on-card: a checkpoint has no card; 'everyframe export' writes one")


def _measured(request: Request, files: Sequence[ModelFile], progress: Progress) -> Figures:
    specs, named = _specs(request)
    subjects = [_subject(file, score_floor=request.score_floor, augmentation=request.augmentation) for file in files]
    taxonomy = named or taxonomy_of([subject.classes for subject in subjects], [file.taxonomy for file in files])
    sets, clips = _open_sets(request, specs, taxonomy, progress), _open_clips(request, taxonomy)
    if not sets and not clips:
        raise DataError("there is no picture to measure on; nothing is held out, or the sets are empty")
    figures = measure(subjects, sets, taxonomy, settings=request.settings, progress=progress)
    figures.settings |= {"score_floor": request.score_floor, "augmentation": str(request.augmentation or "none")}
    judged = judged_labels(subjects, taxonomy)
    for model, subject in zip(figures.models, subjects, strict=True):
        model.picture_size = subject.input_size
    del subjects
    if clips:
        plain = [_subject(file, score_floor=None, augmentation=request.augmentation) for file in files]
        measure_clips(plain, clips, taxonomy, figures, judged=judged, progress=progress)
    _measure_cost(request, files, figures, sets, clips)
    return figures


def _subject(
    file: ModelFile, *, score_floor: float | None, augmentation: Augmentation | None, threads: int = 0
) -> Subject:
    """A model, loaded. Raises `ConfigError`, `ModelError`."""
    return Subject(
        str(file.path),
        name=file.name,
        score_floor=score_floor,
        threads=threads,
        augmentation=augmentation,
        picture_size=file.picture_size,
    )


def _specs(request: Request) -> tuple[list[DataSpec], Taxonomy | None]:
    """Data entries of everything but synthetic worlds, and the classes that a recipe names."""
    specs: list[DataSpec] = []
    named: Taxonomy | None = None
    for path in request.data:
        more, classes = read_data_file(path, hold_out=request.hold_out, limit=request.limit)
        specs += more
        named = named or classes
    hold_out = request.hold_out or 0.0
    specs += [
        CocoSpec(images=images, labels=labels, hold_out=hold_out, limit=request.limit)
        for images, labels in request.coco
    ]
    specs += [
        CocoPanopticSpec(images=images, labels=labels, segments=segments, hold_out=hold_out, limit=request.limit)
        for images, labels, segments in request.coco_panoptic
    ]
    return specs, named


def _open_sets(request: Request, specs: Sequence[DataSpec], taxonomy: Taxonomy, progress: Progress) -> list[DataSet]:
    part: Part = request.part or ("held-out" if any(spec.hold_out for spec in specs) else "all")
    sets = [
        DataSet(
            open_pictures(spec, taxonomy, part=part, progress=progress),
            "world" if isinstance(spec, WorldSpec) else "coco",
        )
        for spec in specs
    ]
    if request.worlds:
        worlds = UnseenWorlds(taxonomy=taxonomy, worlds=request.worlds, first_seed=request.first_seed)
        sets.append(DataSet(worlds, "world"))
    return [one for one in sets if len(one.pictures)]


def _open_clips(request: Request, taxonomy: Taxonomy) -> list[Clip]:
    clips: list[Clip] = [
        WorldClip(taxonomy=taxonomy, seed=request.first_seed + number, seconds=request.clip_seconds)
        for number in range(request.clips)
    ]
    return clips + [open_mot(folder, taxonomy) for folder in request.mot]


def _measure_cost(
    request: Request, files: Sequence[ModelFile], figures: Figures, sets: Sequence[DataSet], clips: Sequence[Clip]
) -> None:
    """Parameters, sizes and times."""
    for model, file in zip(figures.models, files, strict=True):
        model.parameters = parameters_of(file.path)
        model.file_bytes = sum(one.stat().st_size for one in files_of(file.path))
    if not request.latency_pictures:
        return
    if sets:
        pictures = sets[0].pictures
        images = [pictures[index].image for index in range(min(LATENCY_IMAGES, len(pictures)))]
    else:
        images = [next(iter(clips[0])).sample.image]
    subjects = [
        _subject(file, score_floor=None, threads=request.threads, augmentation=request.augmentation) for file in files
    ]
    times = measure_latency(subjects, images, threads=request.threads, pictures=request.latency_pictures)
    for model, latency in zip(figures.models, times, strict=True):
        model.latency = latency
