"""Train the network within a stated time: the learning rate falls with the clock, so that the end is an end."""

from __future__ import annotations

import copy
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from stages.models.exporting.unfold import unfolded
from stages.models.labelled.sample import PackedSample
from stages.models.labelled.world import load_all
from stages.models.nano.network import Nano, NanoConfig
from stages.models.training.augment import AugmentConfig
from stages.models.training.losses import LossWeights, total_loss
from stages.models.training.replicas import Replica
from stages.models.training.targets import TrainingBatch, TrainingStream
from stages.models.world import STUFF, THINGS

# A semantic error on a thin thing costs twice (the thing and the stuff behind it) and is few pixels: it counts double.
_THING_PIXEL_WEIGHT = 2.0
# Of pictures that the norms of an exported network are measured on.
_UNFOLDING_BATCHES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to train.

    Attributes:
        minutes: wall-clock length of the training.
        batch: pictures a step (of each copy).
        width: of a training picture, pixels.
        height: of a training picture, pixels.
        learning_rate: the highest.
        weight_decay: of AdamW, on convolution weights alone.
        warm_up: share of the time in which the rate rises.
        average: decay of the averaged weights, which are the ones kept.
        clip: longest gradient.
        threads: of torch (in each copy); the data worker takes part of one more.
        bf16: compute in bfloat16 where that is safe.
        seed: of weights, order and augmentation.
        checkpoint_minutes: time between two checkpoints.
        loss: weights of the terms.
        augment: how pictures are changed.
    """

    minutes: float = 70.0
    batch: int = 16
    width: int = 512
    height: int = 288
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 0.02
    average: float = 0.998
    clip: float = 10.0
    threads: int = 1
    bf16: bool = True
    seed: int = 0
    checkpoint_minutes: float = 3.0
    loss: LossWeights = field(default_factory=LossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


def rate_at(progress: float, *, warm_up: float) -> float:
    """Share of the highest rate at a share of the time: a linear rise, then half a cosine down to 1%."""
    if progress < warm_up:
        return max(progress / warm_up, 0.01)
    fall = (min(progress, 1.0) - warm_up) / (1 - warm_up)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * fall)) / 2


class Average:
    """Weights averaged over the last steps: better than the last ones, and steady enough to compare."""

    def __init__(self, network: Nano, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: Nano) -> None:
        """Move towards the network, faster in the first steps."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        state = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])


def make_optimizer(network: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW; norms and biases do not decay."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99))


def class_weights() -> Tensor:
    """[classes]: what an error on a pixel of each class costs."""
    return torch.tensor([_THING_PIXEL_WEIGHT] * len(THINGS) + [1.0] * len(STUFF))


def train_step(
    network: Nano,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    *,
    bf16: bool = False,
    clip: float = 10.0,
    loss_weights: LossWeights | None = None,
    agree: Callable[[], None] | None = None,
) -> dict[str, float]:
    """One step on one batch; the loss terms by name. `agree` is called when the gradients are there."""
    images = batch.images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = network(images.bfloat16() if bf16 else images.float())
    terms = total_loss(output, batch.targets, weights=loss_weights, class_weights=class_weights())
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    if agree is not None:
        agree()
    nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimizer.step()
    return {name: float(term.detach()) for name, term in terms.items()}


def train(
    samples: list[PackedSample],
    checkpoint: Path,
    config: TrainConfig,
    *,
    network_config: NanoConfig | None = None,
    start: Path | None = None,
    replica: Replica | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Nano:
    """Train on the samples and keep the averaged weights in `checkpoint` (safetensors, with a `.json` log beside it).

    Args:
        samples: packed pictures with truth.
        checkpoint: where the weights go, every few minutes and at the end.
        config: how to train.
        network_config: shape of the network.
        start: a checkpoint or an exported ONNX file to start from, or None for random weights.
        replica: which of several copies that train together; the first keeps the weights.
        clock: seconds; a test gives its own.
    """
    replica = replica or Replica()
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    network = _network(samples, config, network_config, start).to(memory_format=torch.channels_last).train()
    average = Average(network, config.average)
    optimizer = make_optimizer(network, learning_rate=config.learning_rate, weight_decay=config.weight_decay)
    log = _Log(config, clock, copies=replica.count, quiet=replica.rank > 0)
    agreement = _Agreement(network, replica, log)
    for batch in _batches(samples, config, seed=config.seed + replica.rank):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_at(agreement.progress, warm_up=config.warm_up)
        terms = train_step(
            network,
            optimizer,
            batch,
            bf16=config.bf16,
            clip=config.clip,
            loss_weights=config.loss,
            agree=agreement.reach,
        )
        average.update(network)
        if agreement.progress >= 1:
            break
        if log.add(terms) and replica.rank == 0:
            save_checkpoint(average.network, checkpoint, log.lines)
    if replica.rank == 0:
        save_checkpoint(average.network, checkpoint, log.lines)
    return average.network


def _network(
    samples: list[PackedSample], config: TrainConfig, network_config: NanoConfig | None, start: Path | None
) -> Nano:
    if start is not None and start.suffix == ".onnx":
        batches = itertools.islice(_stream(samples, config, seed=config.seed), _UNFOLDING_BATCHES)
        return unfolded(start, (batch.images for batch in batches), config=network_config)
    network = Nano(network_config)
    if start is not None:
        network.load_state_dict(load_file(start))
    return network


class _Agreement:
    """What all copies agree on in every step: the gradients, and how far the time has run."""

    def __init__(self, network: Nano, replica: Replica, log: _Log) -> None:
        self.network, self.replica, self.log = network, replica, log
        self.progress = 0.0

    def reach(self) -> None:
        self.progress = self.replica.agree(self.network, self.log.progress())


def train_from_cache(
    replica: Replica, *, cache: Path, checkpoint: Path, config: TrainConfig, start: Path | None
) -> None:
    """`train` on every sample of a cache folder: the body of `run_replicas`."""
    train(load_all(cache), checkpoint, config, start=start, replica=replica)


def save_checkpoint(network: Nano, path: Path, lines: list[dict[str, float]]) -> None:
    """Weights as safetensors, the log as JSON beside them; each written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
    partial.replace(path)
    path.with_suffix(".json").write_text(json.dumps(lines, indent=1) + "\n")


def _stream(samples: list[PackedSample], config: TrainConfig, *, seed: int) -> TrainingStream:
    return TrainingStream(
        samples, batch=config.batch, width=config.width, height=config.height, seed=seed, config=config.augment
    )


def _batches(samples: list[PackedSample], config: TrainConfig, *, seed: int) -> Iterator[TrainingBatch]:
    stream = _stream(samples, config, seed=seed)
    return iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))


class _Log:
    """Knows how far the time has run, and prints the mean loss terms now and then."""

    def __init__(
        self, config: TrainConfig, clock: Callable[[], float], *, copies: int, quiet: bool, every: int = 50
    ) -> None:
        self.config, self.clock, self.copies, self.quiet, self.every = config, clock, copies, quiet, every
        self.started = self.saved = clock()
        self.recent: list[dict[str, float]] = []
        self.lines: list[dict[str, float]] = []
        self.steps = 0

    def progress(self) -> float:
        return (self.clock() - self.started) / (self.config.minutes * 60)

    def add(self, terms: dict[str, float]) -> bool:
        """Note one step; True when a checkpoint is due."""
        self.steps += 1
        self.recent.append(terms)
        if len(self.recent) == self.every:
            self._print()
        due = self.clock() - self.saved >= self.config.checkpoint_minutes * 60
        if due:
            self.saved = self.clock()
        return due

    def _print(self) -> None:
        means = {name: sum(terms[name] for terms in self.recent) / len(self.recent) for name in self.recent[0]}
        seconds = self.clock() - self.started
        line = {"step": self.steps, "minutes": seconds / 60, **means, "total": sum(means.values())}
        line["pictures_per_second"] = self.steps * self.config.batch * self.copies / seconds
        self.lines.append({name: round(value, 4) for name, value in line.items()})
        self.recent.clear()
        if not self.quiet:
            print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), file=sys.stderr, flush=True)
