"""The loop: batches by number, steps, averaged weights, checkpoints that a training goes on from as if never ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import ConfigError
from stages.models.labelled.ending import Asked, never
from stages.models.nano.network import Nano, NanoOutput
from stages.models.training.average import Average
from stages.models.training.checkpoint import write_checkpoint
from stages.models.training.distillation import distillation_loss
from stages.models.training.history import LOG, History, Listener
from stages.models.training.losses import Target, total_loss
from stages.models.training.machine import machine_for
from stages.models.training.optimiser import clip_gradients, make_optimiser, set_rate
from stages.models.training.readers import TrainingFailed, loaded, told_of_readers
from stages.models.training.recipe import Recipe
from stages.models.training.replicas import Replica
from stages.models.training.run_state import RunState
from stages.models.training.schedule import SCHEDULES, rate_share
from stages.models.training.start import UNFOLDING_BATCHES, freeze, start_network, teacher_of
from stages.models.training.stream import Batches, LearningSet
from stages.models.training.targets import TrainingBatch
from stages.models.training.teacher import DenseTeacher

WEIGHTS, STATE = "nano.safetensors", "state.safetensors"
# A semantic error on a thin thing costs twice (the thing and the stuff behind it) and is few pixels: it counts double.
_THING_PIXEL_WEIGHT = 2.0


def train(
    recipe: Recipe,
    sets: Sequence[LearningSet],
    output: Path,
    *,
    held_out: Sequence[LearningSet] = (),
    replica: Replica | None = None,
    tell: Listener | None = None,
    interrupted: Asked = never,
) -> bool:
    """Train until the recipe's steps are over or somebody interrupts; go on where `output` holds a state.

    `output` gets the averaged weights (`WEIGHTS`), the state (`STATE`) and what the training told of itself (`LOG`).

    Args:
        recipe: how.
        sets: what pictures are learnt from; their order belongs to the recipe.
        output: a folder.
        held_out: pictures that are looked at now and then, and not learnt from.
        replica: which of several copies that train together; the first writes.
        tell: told of a step now and then.
        interrupted: asked after every step.

    Returns:
        Whether all steps are over; False where it was interrupted, in which case everything is kept.

    Raises:
        TrainingFailed: when the loss is no number any more, a reader dies, or a file cannot be written.
        ModelError: for a start or a state that does not fit.
    """
    with told_of_readers():
        return _Training(recipe, sets, output, held_out, replica or Replica(), tell, interrupted).run()


class _Training:
    def __init__(
        self,
        recipe: Recipe,
        sets: Sequence[LearningSet],
        output: Path,
        held_out: Sequence[LearningSet],
        replica: Replica,
        tell: Listener | None,
        interrupted: Asked,
    ) -> None:
        if not any(one.weight * len(one.pictures) for one in sets):
            raise ConfigError("data: there is nothing to learn from; every entry is empty or has weight 0")
        self.recipe, self.output, self.replica, self.interrupted = recipe, output, replica, interrupted
        self.taxonomy = recipe.taxonomy()
        self.machine = machine_for(recipe, copies=replica.count)
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(self.machine.threads)
        self.batches = self._batches_of(sets, recipe, teacher_of(recipe, self.taxonomy))
        # Gradients of the copies are averaged: a copy with more pictures counts as many times more.
        self.part = self.batches.count * replica.count / recipe.batch
        self.validation = self._validation(held_out)
        self.state = self._begun()
        self.fingerprint = recipe.fingerprint()
        self.history = History(output / LOG, tell if replica.rank == 0 else None, recipe)
        self.class_weights = self._class_weights()

    def run(self) -> bool:
        path = self.output / STATE
        if path.is_file():
            self.state.load(path, recipe=self.fingerprint)
        self.replica.share(self.state.network)
        self.history.begin(self.state.step)
        if self.state.step >= self.recipe.steps and not (self.output / WEIGHTS).is_file():
            self._keep()
        for batch in self._remaining():
            stop = self._step(batch, interrupted=self.interrupted())
            self._look(stop=stop)
            if stop:
                break
        return self.state.step >= self.recipe.steps

    def _remaining(self) -> Iterator[TrainingBatch]:
        steps = range(self.state.step, self.recipe.steps)
        yield from loaded(self.batches, steps, readers=self.recipe.readers)

    def _step(self, batch: TrainingBatch, *, interrupted: bool) -> bool:
        """One step; whether any copy was interrupted."""
        progress = self.state.step / self.recipe.steps
        share = rate_share(SCHEDULES[self.recipe.schedule.kind], progress, warm_up=self.recipe.schedule.warm_up)
        rate = self.recipe.optimiser.rate * share
        set_rate(self.state.optimiser, rate)
        terms = self._terms(self.state.network, batch)
        self.state.optimiser.zero_grad(set_to_none=True)
        stacked = torch.stack(list(terms.values()))
        torch.autograd.backward(stacked.sum() * self.part)
        stop = self.replica.agree(self.state.network, float(interrupted)) > 0
        length = clip_gradients(self.state.network.parameters(), self.recipe.optimiser.clip)
        values = dict(zip(terms, stacked.tolist(), strict=True))  # a device is waited for once
        self._check(values, length)
        self.state.optimiser.step()
        self.state.average.update(self.state.network)
        self.state.step += 1
        self.history.add(self.state.step, rate, values)
        return stop

    def _terms(self, network: Nano, batch: TrainingBatch) -> dict[str, Tensor]:
        output, targets = self._forward(network, batch)
        terms = total_loss(output, targets, settings=self.recipe.loss, class_weights=self.class_weights)
        if self.recipe.teacher is not None and batch.answers:
            taught = distillation_loss(output.class_logits.float(), output.boxes, batch.answers)
            terms |= {
                "taught_classes": taught["taught_classes"]
                * self.recipe.loss.weights.classes
                * self.recipe.teacher.weight,
                "taught_boxes": taught["taught_boxes"] * self.recipe.loss.weights.boxes * self.recipe.teacher.weight,
            }
        return terms

    def _forward(self, network: Nano, batch: TrainingBatch) -> tuple[NanoOutput, list[Target]]:
        device = self.machine.device
        images = batch.images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.machine.bf16):
            output = network(images.bfloat16() if self.machine.bf16 else images.float())
        return output, [target.to(device) for target in batch.targets]

    def _class_weights(self) -> Tensor:
        counts = (len(self.taxonomy.things), len(self.taxonomy.stuff))
        weights = torch.tensor([_THING_PIXEL_WEIGHT] * counts[0] + [1.0] * counts[1])
        return weights.to(self.machine.device)

    def _check(self, terms: dict[str, float], length: float) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad or not math.isfinite(length):
            what = f"the loss of {', '.join(bad)}" if bad else "the gradient"
            raise TrainingFailed(
                f"step {self.state.step + 1}: {what} is no finite number any more; {self.output / STATE} has "
                f"the last good state. Try a lower optimiser.rate than {self.recipe.optimiser.rate:g}, or a longer "
                "schedule.warm_up"
            )

    def _look(self, *, stop: bool) -> None:
        """What is due after a step: a look at held-out pictures, a checkpoint."""
        step, every = self.state.step, self.recipe.validate_every
        over = step >= self.recipe.steps
        if self.replica.rank == 0 and self.validation and every and (over or step % every == 0):
            self.history.validated(step, self._validate())
        if stop or over or step % self.recipe.checkpoint_every == 0:
            self._keep()

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """The mean loss terms of the averaged network on held-out pictures, each time the same."""
        assert self.validation is not None
        steps = range(math.ceil(self.recipe.validation_pictures / self.validation.count))
        sums: dict[str, float] = {}
        # By a reader where there are some, so that this process never asks the teacher: see `loaded`.
        for batch in loaded(self.validation, steps, readers=min(self.recipe.readers, 1)):
            for name, term in self._terms(self.state.average.network, batch).items():
                sums[name] = sums.get(name, 0.0) + float(term) / len(steps)
        return sums

    def _keep(self) -> None:
        if self.replica.rank > 0:
            return
        try:
            text = f"{self.state.step} steps of {self.recipe.batch} pictures, recipe {self.fingerprint}"
            write_checkpoint(self.output / WEIGHTS, self.state.average.network, self.taxonomy, training=text)
            self.history.keep()
            self.state.save(self.output / STATE, recipe=self.fingerprint)  # last: what it tells of is there
        except OSError as exc:
            raise TrainingFailed(
                f"step {self.state.step}: {self.output}: cannot be written: {exc.strerror or exc}; the "
                "checkpoint before it is still there, and the same command goes on from it"
            ) from exc

    def _batches_of(self, sets: Sequence[LearningSet], recipe: Recipe, teacher: DenseTeacher | None) -> Batches:
        things, rank = len(self.taxonomy.things), self.replica.rank
        return Batches(sets, recipe, things=things, teacher=teacher, rank=rank, copies=self.replica.count)

    def _validation(self, held_out: Sequence[LearningSet]) -> Batches | None:
        """Whole held-out pictures as they are."""
        usable = [one for one in held_out if one.weight * len(one.pictures)]
        if not usable or self.replica.rank > 0 or not self.recipe.validate_every:
            return None
        return self._batches_of(usable, self.recipe.as_it_is(), self.batches.teacher)

    def _network(self) -> Nano:
        """What is begun with; where a state is about to be gone on from, which holds all weights, only its shape."""
        if (self.output / STATE).is_file():
            return Nano(self.recipe.network_config(self.taxonomy))
        untaught = self._batches_of(self.batches.sets, self.recipe, None)
        steps = range(min(UNFOLDING_BATCHES, self.recipe.steps))
        pictures = (batch.images for batch in loaded(untaught, steps, readers=min(self.recipe.readers, 1)))
        return start_network(self.recipe, self.taxonomy, pictures)

    def _begun(self) -> RunState:
        network = self._network()
        network = network.to(self.machine.device).to(memory_format=torch.channels_last)
        freeze(network, self.recipe.parts)
        options = self.recipe.optimiser
        optimiser = make_optimiser(
            network,
            kind=options.kind,
            learning_rate=options.rate,
            weight_decay=options.weight_decay,
            backbone_rate=options.backbone_rate,
        )
        return RunState(network, Average(network, options.average), optimiser)
