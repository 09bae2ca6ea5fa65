"""From a trained network to checked files: all of them get their names, or none does."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch

from pipeline.errors import ModelError
from pipeline.messages import Classes, UInt8
from stages.models.exporting.agreement import Agreement, Given, agreement
from stages.models.exporting.card import card_of, write_card
from stages.models.exporting.deployed import INPUT_HEIGHT, INPUT_WIDTH, Deployed, check_size, outputs_of
from stages.models.exporting.folding import folded
from stages.models.exporting.formats import Format, Made, Runner, made, runner, tolerance, write_ir, write_program
from stages.models.exporting.frames import Frames, Step, as_input, quiet
from stages.models.exporting.health import check_weights
from stages.models.exporting.int8 import Judge, Judged, Trial, by_agreement, make_int8
from stages.models.exporting.onnx_graph import halved, onnx_model
from stages.models.nano.network import STRIDES, Nano

MAX_DROP: Final = 0.01
_TURNED: Final = 4  # frames that files of any size are checked on a second time, on their side and longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What is exported.

    Attributes:
        network: trained; any mode.
        classes: things, then stuff.
        gathers: other names of classes, by class, as labels have them.
        offsets: added to each thing's logits; None: nothing.
        training: how it was trained, for the card.
    """

    network: Nano
    classes: Classes
    gathers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    offsets: Sequence[float] | None = None
    training: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What is written, and where.

    Attributes:
        folder: of the files.
        name: what their names begin with.
        formats: which.
        width: of a picture.
        height: of a picture.
        half: store weights of ONNX and OpenVINO files as float16.
        any_size: whether files take pictures of other sizes too, multiples of the coarsest stride.
        version: on the card.
        max_drop: what INT8 may cost, as a fraction of 1.
    """

    folder: Path
    name: str
    formats: tuple[Format, ...] = ("onnx",)
    width: int = INPUT_WIDTH
    height: int = INPUT_HEIGHT
    half: bool = True
    any_size: bool = False
    version: str = "1"
    max_drop: float = MAX_DROP


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that stands where it should.

    Attributes:
        format: of the file.
        path: of the file that is given to who runs it.
        size: bytes, with what belongs to it.
        agreement: with torch.
        judged: what INT8 cost; None of others.
    """

    format: Format
    path: Path
    size: int
    agreement: Agreement
    judged: Judged | None


def export(
    trained: Trained, plan: ExportPlan, frames: Frames, *, judge: Judge = by_agreement, step: Step = quiet
) -> list[Exported]:
    """Write the files of a plan, each checked against torch on the frames before any of them gets its name.

    Args:
        trained: the network.
        plan: what to write.
        frames: what to check on, and to calibrate INT8 with.
        judge: tells what INT8 costs.
        step: told of each piece of work.

    Raises:
        ModelError: when weights or pictures' size cannot be, a file differs from torch or costs too much, something
            that is needed is not installed, or the files cannot be written. Nothing was written then.
    """
    check_size(plan.width, plan.height, any_size=plan.any_size)
    check_weights(trained.network)
    with _folder(plan) as folder:
        work = _Export(trained, plan, frames, judge=judge, step=step, folder=folder)
        done = work.run()
        return _named(done, work.signed(done), plan)


@contextmanager
def _folder(plan: ExportPlan) -> Iterator[Path]:
    """A folder beside the files to be; it goes whatever happens. Raises `ModelError` where it cannot be written to."""
    there = plan.folder.is_dir()
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{plan.name}.", suffix=".partial", dir=plan.folder) as folder:
            yield Path(folder)
    except OSError as exc:
        raise ModelError(f"{plan.folder / plan.name}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        if not there:
            with suppress(OSError):  # what was made for nothing; not where files are in it
                plan.folder.rmdir()


@dataclass(frozen=True, slots=True)
class _Done:
    """A file that was checked, and has its name yet to get."""

    file: Made
    agreement: Agreement
    judged: Judged | None


class _Export:
    """The work in a folder of its own."""

    def __init__(
        self, trained: Trained, plan: ExportPlan, frames: Frames, *, judge: Judge, step: Step, folder: Path
    ) -> None:
        self.trained, self.plan, self.frames, self.judge, self.step = trained, plan, frames, judge, step
        self.stem = folder / plan.name
        self.network = copy.deepcopy(trained.network).cpu().to(memory_format=torch.contiguous_format).eval()
        self.reference: list[Given] = []
        self.turned = [_turned(picture) for picture in frames.checked[:_TURNED]] if plan.any_size else []
        self.turned_reference: list[Given] = []

    def run(self) -> list[_Done]:
        """Write and check every format, in the plan's order."""
        self.reference = self._reference(self.frames.checked)
        self.turned_reference = self._reference(self.turned)
        light = Deployed(folded(self.network), offsets=self.trained.offsets).eval()
        whole = self.stem.with_name(".float32.onnx")
        if set(self.plan.formats) - {"torch"}:
            model = onnx_model(
                light, width=self.plan.width, height=self.plan.height, half=False, any_size=self.plan.any_size
            )
            whole.write_bytes(model.SerializeToString())
        done = []
        for number, format_ in enumerate(self.plan.formats, 1):
            self.step("formats", number, len(self.plan.formats))
            judged = None
            if format_ == "int8":
                card = self._card(f"{self.plan.name}-int8", {})
                trial = Trial(whole=whole, card=card, frames=self.frames, reference=self.reference)
                file, judged = make_int8(
                    trial, self.stem, judge=self.judge, max_drop=self.plan.max_drop, step=self.step
                )
            else:
                file = self._write(format_, whole, light)
            done.append(_Done(file, self._checked(file), judged))
        return done

    def _write(self, format_: Format, whole: Path, light: Deployed) -> Made:
        path = self.stem
        if format_ == "onnx":
            path.with_name(f"{path.name}.onnx").write_bytes(self._stored(whole))
        elif format_ == "openvino":
            stored = path.with_name(".stored.onnx")
            stored.write_bytes(self._stored(whole))
            write_ir(stored, path.with_name(f"{path.name}.xml"))
        else:
            write_program(
                light,
                path.with_name(f"{path.name}.pt2"),
                width=self.plan.width,
                height=self.plan.height,
                any_size=self.plan.any_size,
            )
        return made(format_, path)

    def _stored(self, whole: Path) -> bytes:
        """The ONNX file as users get it."""
        model = onnx.load(whole)
        model = halved(model) if self.plan.half else model
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _reference(self, pictures: Sequence[UInt8]) -> list[Given]:
        """What torch gives for frames, norms not folded. Raises `ModelError` where that is not finite."""
        outputs = []
        deployed = Deployed(self.network, offsets=self.trained.offsets).eval()
        count = len(pictures)
        for number, picture in enumerate(pictures, 1):
            outputs.append(outputs_of(deployed, as_input(picture)))
            self.step("torch on the frames", number, count)
            for name, array in outputs[-1].items():
                if not np.isfinite(array).all():
                    raise ModelError(f"output {name!r} of the network is not finite on frame {number} of {count}")
        return outputs

    def _checked(self, file: Made) -> Agreement:
        """How near torch a file is. Raises `ModelError` where that is not near enough."""
        run, given = runner(file), []
        for number, picture in enumerate(self.frames.checked, 1):
            given.append(run(as_input(picture)))
            self.step(f"{file.main.name} on the frames", number, len(self.frames.checked))
        allowed = tolerance(file.format, half=self.plan.half)
        found = agreement(self.reference, given, allowed)
        if fault := found.fault(allowed):
            raise ModelError(f"{file.main.name} does not give what torch gives: {fault}")
        if self.plan.any_size:
            self._check_turned(file, run)
        return found

    def _check_turned(self, file: Made, run: Runner) -> None:
        """Hold a file against torch on frames of another size, too. Raises `ModelError`."""
        allowed = tolerance(file.format, half=self.plan.half)
        given = [run(as_input(picture)) for picture in self.turned]
        found = agreement(self.turned_reference, given, allowed)
        if fault := found.fault(allowed):
            _, height, width, _ = self.turned[0].shape
            size = f"{width}x{height}"
            raise ModelError(f"{file.main.name} does not give what torch gives for pictures of {size}: {fault}")

    def signed(self, done: Sequence[_Done]) -> list[Path]:
        """Write the cards: one of INT8, whose figures are its own, and one of all other files."""
        cards = []
        for name, group in self._groups(done).items():
            checked = {"on": self.frames.told} | {one.file.main.name: _on_card(one) for one in group}
            path = self.stem.with_name(f"{name}.json")
            write_card(path, self._card(name, checked), [one.file.main for one in group])
            cards.append(path)
        return cards

    def _groups(self, done: Sequence[_Done]) -> dict[str, list[_Done]]:
        groups: dict[str, list[_Done]] = {}
        for one in done:
            groups.setdefault(f"{self.plan.name}-int8" if one.file.format == "int8" else self.plan.name, []).append(one)
        return groups

    def _card(self, name: str, checked: Mapping[str, Any]) -> dict[str, Any]:
        network, classes = self.trained.network, self.trained.classes
        return card_of(
            network,
            classes,
            name=name,
            version=self.plan.version,
            training=self.trained.training,
            width=self.plan.width,
            height=self.plan.height,
            offsets=self.trained.offsets or [0.0] * len(classes.things),
            checked=checked,
        )


def _turned(picture: UInt8) -> UInt8:
    """A picture [1, H, W, 3] on its side and longer: neither its shape nor its number of cells is that of before."""
    longer = np.pad(picture, ((0, 0), (0, 0), (0, STRIDES[-1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(np.rot90(longer, axes=(1, 2)))


def _on_card(one: _Done) -> dict[str, Any]:
    """What was found of a file when it was checked."""
    found = one.agreement
    written: dict[str, Any] = {
        "mean_difference": {name: round(value, 6) for name, value in found.mean.items()},
        "same_detections": round(found.share, 4),
        "detections": found.seen,
    }
    if one.judged is not None:
        written["int8"] = {key: value for key, value in asdict(one.judged).items() if value != ""}
    return written


def _named(done: Sequence[_Done], cards: Sequence[Path], plan: ExportPlan) -> list[Exported]:
    """Give all files their names: what others point to first, cards last."""
    exported = []
    for one in done:
        size = one.file.size
        for file in reversed(one.file.files):
            file.replace(plan.folder / file.name)
        path = plan.folder / one.file.main.name
        exported.append(Exported(one.file.format, path, size, one.agreement, one.judged))
    for card in cards:
        card.replace(plan.folder / card.name)
    return exported
