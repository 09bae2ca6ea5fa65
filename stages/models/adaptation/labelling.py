"""From footage to labelled pictures: looked over by the teachers, followed over time, picked, packed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from stages.models.adaptation.agreement import Merge, merged, without_rivals
from stages.models.adaptation.following import FrameLabels, followed
from stages.models.adaptation.found import Found
from stages.models.adaptation.looks import Looks, look_over
from stages.models.adaptation.mapper import Mapper, open_mapper
from stages.models.adaptation.picking import differing, weights_of
from stages.models.adaptation.samples import as_detections, sample_of
from stages.models.adaptation.stretches import HELD_OUT, TRAIN, parts_of
from stages.models.adaptation.teacher import Teacher, checksum_of, open_teacher
from stages.models.adaptation.thresholds import thresholds_for
from stages.models.adaptation.video import fingerprint_of, frames_of
from stages.models.adaptation.written import write_json
from stages.models.labelled.packed import KeyedSample, load, save
from stages.models.labelled.parts import Progress, evenly
from stages.models.labelled.sample import pack
from stages.models.labelled.taxonomy import Taxonomy

FEWEST_HELD_OUT: Final = 8  # frames; fewer measure nothing
FEWEST_LEARNT: Final = 8
FORMAT: Final = 1  # of what is kept
TOLD: Final = "told.json"
FILES: Final = {TRAIN: "train.npz", HELD_OUT: "held-out.npz"}
HELD_OUT_SHARE: Final = 0.5  # of `frames`, at most, that are measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """How footage is labelled.

    Attributes:
        teachers: detectors: ONNX files, ``torchvision:NAME``, ``transformers:FOLDER``, ``everyframe-nano``.
        segmenter: a semantic ONNX network, or one with masks of its own, for the pixels; None: they are void.
        classes: that are learnt, of the network's things; None: all that a teacher knows.
        thresholds: score by class from which a box is a label; of the others found by `thresholds_for`.
        frames: pictures to learn from, at most.
        fps: frames a second that the teachers look at, at most.
        hold_out: share of each file's time, at its end, that is measured on.
        merge: what makes a box of several teachers a label; see `merged`.
        support: frames that an object must be seen in.
        longest_hole: frames between two sightings that are filled.
    """

    teachers: tuple[str, ...]
    segmenter: str | None = None
    classes: tuple[str, ...] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    frames: int = 600
    fps: float = 5.0
    hold_out: float = 0.2
    merge: Merge = "fusion"
    support: int = 3
    longest_hole: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Pictures of footage with labels, and what is to be told about them.

    Attributes:
        train: to learn from.
        held_out: to measure on.
        thresholds: score by class from which a box was a label.
        known: [things], the classes that were looked for.
        told: counts for the report: frames looked at, seconds, objects by class and part.
    """

    train: list[KeyedSample]
    held_out: list[KeyedSample]
    thresholds: dict[str, float]
    known: NDArray[np.bool_]
    told: dict[str, Any]


OpenTeacher = Callable[[str, Taxonomy], Teacher]
OpenMapper = Callable[[str, Taxonomy], Mapper]


def label_footage(
    paths: Sequence[Path],
    config: LabelConfig,
    taxonomy: Taxonomy,
    folder: Path,
    *,
    progress: Progress | None = None,
    teacher: OpenTeacher = open_teacher,
    mapper: OpenMapper = open_mapper,
    checksum: Callable[[str], str] = checksum_of,
) -> Labelled:
    """Label footage, or read what an earlier run has labelled with the same settings.

    Args:
        paths: video files.
        config: how.
        taxonomy: of the network that will learn.
        folder: where labels are kept, by a fingerprint of files, teachers and settings; made if need be.
        progress: told how far it is.
        teacher: makes a teacher of its name.
        mapper: makes a mapper of the segmenter's name.
        checksum: tells a model of a name from another.

    Raises:
        ConfigError: for a class, or a threshold of a class, that the network does not have.
        DataError: for footage that cannot be read, in which nothing is found, or of which too little is held out.
        ModelError: when a teacher is missing or fails.
        OSError: when the folder cannot be written to.
    """
    check_classes(config, taxonomy)
    files = fingerprint_of(paths)
    models = [checksum(model) for model in (*config.teachers, *([config.segmenter] if config.segmenter else []))]
    gathers = {name: list(others) for name, others in sorted(taxonomy.gathers.items()) if others}
    looked = [
        FORMAT,
        taxonomy.classes.things,
        taxonomy.classes.stuff,
        gathers,
        models[: len(config.teachers)],
        config.fps,
    ]
    packed = (
        folder
        / f"labels-{_short([looked, sorted((path.name, files[str(path)]) for path in paths), models, asdict(config)])}"
    )
    if (packed / TOLD).is_file():
        return _load(packed, taxonomy)
    teachers = [teacher(model, taxonomy) for model in config.teachers]
    looks = [
        look_over(
            path, teachers, folder / f"looks-{_short([looked, files[str(path)]])}", fps=config.fps, progress=progress
        )
        for path in paths
    ]
    labels = labels_of(looks, np.stack([one.knows for one in teachers]), config, taxonomy)
    pixels = None if config.segmenter is None else mapper(config.segmenter, taxonomy)
    return _packed(paths, looks, labels, packed, config, taxonomy, mapper=pixels, progress=progress)


def check_classes(config: LabelConfig, taxonomy: Taxonomy) -> None:
    """Refuse classes that the network does not have. Raises `ConfigError`."""
    for setting, names in (("classes", config.classes or ()), ("threshold", tuple(config.thresholds))):
        for name in names:
            if name not in taxonomy.things:
                raise ConfigError(
                    f"{setting}: {name!r} is nothing the network counts; it counts {', '.join(taxonomy.things)}"
                )
    for name, score in config.thresholds.items():
        if not 0 < score < 1:
            raise ConfigError(f"threshold: {name}={score:g}; a score between 0 and 1 is needed")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of all frames that were looked at, file by file."""

    frames: list[list[FrameLabels]]
    parts: list[NDArray[np.int8]]  # of each file [F], from `parts_of`
    thresholds: NDArray[np.float32]  # [things]
    known: NDArray[np.bool_]  # [things]


def labels_of(looks: Sequence[Looks], knows: NDArray[np.bool_], config: LabelConfig, taxonomy: Taxonomy) -> Labels:
    """What the teachers' boxes come to: joined, held against thresholds, followed over time.

    Args:
        looks: of each file.
        knows: [teachers, things].
        config: how.
        taxonomy: of the labels.

    Raises:
        DataError: when nothing was found, or too little is held out.
    """
    wanted = np.isin(np.array(taxonomy.things), config.classes) if config.classes else np.ones(knows.shape[1], np.bool_)
    known = knows.any(0) & wanted
    if not known.any():
        raise DataError(f"classes: no teacher knows any of {', '.join(config.classes or taxonomy.things)}")
    joined = [[_joined(of_frame, knows, known, config) for of_frame in one.found] for one in looks]
    parts = [parts_of(np.array(one.seconds), hold_out=config.hold_out) for one in looks]
    check_parts(parts, looks, config)
    learnt = [
        found
        for of_file, part in zip(joined, parts, strict=True)
        for found, side in zip(of_file, part, strict=True)
        if side == TRAIN
    ]
    thresholds = thresholds_for(learnt, taxonomy.things, given=config.thresholds)
    frames = [
        followed(
            of_file,
            np.array(one.seconds),
            thresholds,
            support=config.support,
            longest_hole=config.longest_hole,
        )
        for of_file, one in zip(joined, looks, strict=True)
    ]
    for part, said in ((TRAIN, "learn from"), (HELD_OUT, "measure on")):
        certain = _count(frames, parts, part)
        if not certain and (part == TRAIN or config.hold_out > 0):
            raise DataError(
                f"the teacher is sure of nothing in the footage to {said}; give more footage, another teacher or "
                f"--hold-out, or a lower --threshold (of {', '.join(np.array(taxonomy.things)[known])})"
            )
    return Labels(frames, parts, thresholds, known)


def _joined(
    of_frame: Sequence[Found], knows: NDArray[np.bool_], known: NDArray[np.bool_], config: LabelConfig
) -> Found:
    found = without_rivals(merged(of_frame, knows, merge=config.merge))
    return found[known[found.labels]]


def _count(frames: Sequence[Sequence[FrameLabels]], parts: Sequence[NDArray[np.int8]], wanted: int) -> int:
    """Certain boxes of a part."""
    pairs = (pair for of_file, part in zip(frames, parts, strict=True) for pair in zip(of_file, part, strict=True))
    return sum(int(one.certain.sum()) for one, side in pairs if side == wanted)


def check_parts(parts: Sequence[NDArray[np.int8]], looks: Sequence[Looks], config: LabelConfig) -> None:
    """Refuse footage of which too little is left for either part. Raises `DataError`."""
    length = sum(one.seconds[-1] for one in looks if len(one))
    for side, fewest, said in ((TRAIN, FEWEST_LEARNT, "to learn from"), (HELD_OUT, FEWEST_HELD_OUT, "held out")):
        count = sum(int((part == side).sum()) for part in parts)
        if count < fewest and (side == TRAIN or config.hold_out > 0):
            raise DataError(
                f"the footage is {length:.1f} s long, and {count} frames are {said} (hold-out {config.hold_out:g}, "
                f"{config.fps:g} frames a second); at least {fewest} are needed: give more footage"
            )


def _packed(
    paths: Sequence[Path],
    looks: Sequence[Looks],
    labels: Labels,
    folder: Path,
    config: LabelConfig,
    taxonomy: Taxonomy,
    *,
    mapper: Mapper | None,
    progress: Progress | None,
) -> Labelled:
    """Pick frames, decode them once more, and keep them with their labels."""
    picked = picked_frames(looks, labels, config)
    total, done = sum(len(one) for one in picked), 0
    sides: dict[int, list[KeyedSample]] = {TRAIN: [], HELD_OUT: []}
    names = _names(paths)
    for path, name, frames, part, rows in zip(paths, names, labels.frames, labels.parts, picked, strict=True):
        for shown in frames_of(path, fps=config.fps, wanted=frozenset(rows.tolist())):
            found = frames[shown.index]
            panoptic = None if mapper is None else mapper.map(shown.rgb, as_detections(found))
            sample = sample_of(shown.rgb, found, taxonomy=taxonomy, known=labels.known, panoptic=panoptic)
            sides[int(part[shown.index])].append(KeyedSample(f"{name}@{shown.seconds:.3f}", pack(sample)))
            done += 1
            if progress is not None:
                progress("pictures", done, total)
    for side, file in FILES.items():
        save(sides[side], folder / file)
    told = _told(looks, labels, sides, taxonomy)
    write_json(folder / TOLD, told)
    return _load(folder, taxonomy)


def picked_frames(looks: Sequence[Looks], labels: Labels, config: LabelConfig) -> list[NDArray[np.int64]]:
    """Of each file the frames taken: to learn from, those that differ the most; to measure on, some spread evenly."""
    places = [(f, i) for f, one in enumerate(looks) for i in range(len(one))]
    sides = np.concatenate(labels.parts)
    flat = [one for of_file in labels.frames for one in of_file]
    small = np.stack([of for one in looks for of in one.signatures])
    train, held_out = (np.flatnonzero(sides == side) for side in (TRAIN, HELD_OUT))
    certain = np.array([int(flat[i].certain.sum()) for i in train])
    doubtful = np.array([int((~flat[i].certain).sum()) for i in train])
    taken = train[differing(small[train], weights_of(certain, doubtful), limit=config.frames)]
    measured = held_out[evenly(len(held_out), limit=max(FEWEST_HELD_OUT, round(config.frames * HELD_OUT_SHARE)))]
    rows: list[list[int]] = [[] for _ in looks]
    for index in (*taken.tolist(), *measured.tolist()):
        file, frame = places[index]
        rows[file].append(frame)
    return [np.array(sorted(of_file), np.int64) for of_file in rows]


def _told(
    looks: Sequence[Looks], labels: Labels, sides: Mapping[int, Sequence[KeyedSample]], taxonomy: Taxonomy
) -> dict[str, Any]:
    objects = {
        file: {
            name: sum(int(((s.sample.labels == i) & (s.sample.visibility > 0)).sum()) for s in sides[side])
            for i, name in enumerate(taxonomy.things)
        }
        for side, file in ((TRAIN, "train"), (HELD_OUT, "held_out"))
    }
    flat = [one for of_file in labels.frames for one in of_file]
    return {
        "seconds": round(sum(one.seconds[-1] for one in looks if len(one)), 3),
        "frames_looked_at": sum(len(one) for one in looks),
        "boxes_certain": sum(int(one.certain.sum()) for one in flat),
        "boxes_doubtful": sum(int((~one.certain).sum()) for one in flat),
        "pictures": {"train": len(sides[TRAIN]), "held_out": len(sides[HELD_OUT])},
        "objects": objects,
        "thresholds": dict(zip(taxonomy.things, (round(float(t), 3) for t in labels.thresholds), strict=True)),
        "known": [name for name, of in zip(taxonomy.things, labels.known, strict=True) if of],
    }


def _load(folder: Path, taxonomy: Taxonomy) -> Labelled:
    try:
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
        train, held_out = (load(folder / FILES[side]) for side in (TRAIN, HELD_OUT))
        known = np.isin(np.array(taxonomy.things), told["known"])
        return Labelled(train, held_out, told["thresholds"], known, told)
    except (OSError, ValueError, KeyError) as exc:
        raise DataError(f"{folder}: labels that cannot be read ({exc}); delete it, and they are made again") from exc


def _names(paths: Sequence[Path]) -> list[str]:
    """What pictures of each file are called: its name, with a number where two have the same."""
    stems = [path.stem for path in paths]
    return [stem if stems.count(stem) == 1 else f"{stem}-{stems[: i + 1].count(stem)}" for i, stem in enumerate(stems)]


def _short(settings: object) -> str:
    return hashlib.sha256(json.dumps(settings, default=list).encode()).hexdigest()[:16]
