"""The command line of the model's own workshop; torch is imported by the command that needs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import EveryframeError

EXAMPLES = """\
examples:
  python -m stages.models.nano render --cache build/nano --worlds 3000
  python -m stages.models.nano train --cache build/nano --minutes 70 --checkpoint build/nano.safetensors
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except (OSError, ValueError, EveryframeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(
        prog="python -m stages.models.nano",
        description="Render and train everyframe-nano on the synthetic street world.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_render(commands)
    _add_train(commands)
    return top


Commands = argparse._SubParsersAction  # the only name argparse has for what add_subparsers gives


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, run: Callable[[argparse.Namespace], None], summary: str
) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=summary, description=summary, epilog=EXAMPLES,
                                formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    added.set_defaults(command=run)
    return added


def _add_render(commands: Commands[argparse.ArgumentParser]) -> None:
    added = _command(commands, "render", _render, "Render training frames into a cache folder, with all cores.")
    added.add_argument("--cache", type=Path, required=True, help="folder of the cache; files already there are kept")
    added.add_argument("--worlds", type=int, default=3000, help="worlds of the training split (default 3000)")
    added.add_argument("--first-seed", type=int, default=0, help="seed of the first world (default 0)")
    added.add_argument("--frames-per-world", type=int, default=4, help="frames of each world (default 4)")
    added.add_argument("--processes", type=int, default=None, help="render processes (default: one a core)")


def _render(options: argparse.Namespace) -> None:
    from stages.models.labelled.world import RenderPlan, render_into

    plan = RenderPlan(first_seed=options.first_seed, worlds=options.worlds, frames_per_world=options.frames_per_world)
    render_into(options.cache, plan, processes=options.processes)


def _add_train(commands: Commands[argparse.ArgumentParser]) -> None:
    added = _command(commands, "train", _train, "Train on a rendered cache for a stated number of minutes.")
    added.add_argument("--cache", type=Path, required=True, help="folder filled by `render`")
    added.add_argument("--checkpoint", type=Path, required=True, help="where the averaged weights go (.safetensors)")
    added.add_argument("--minutes", type=float, default=70.0, help="wall-clock length; the learning rate ends with it")
    added.add_argument("--start", type=Path, default=None, help="checkpoint or exported .onnx to start from")
    added.add_argument("--batch", type=int, default=8, help="pictures a step, of each copy (default 8)")
    added.add_argument("--width", type=int, default=512, help="of a training picture, pixels (default 512)")
    added.add_argument("--height", type=int, default=288, help="of a training picture, pixels (default 288)")
    added.add_argument("--whole", type=float, default=0.4, help="chance of a whole picture, not a window (default 0.4)")
    added.add_argument("--copies", type=int, default=2, help="processes that train together (default 2)")
    added.add_argument("--learning-rate", type=float, default=2e-3, help="the highest (default 2e-3)")
    added.add_argument(
        "--repaint", type=float, default=0.0, help="chance that a segment gets other colours (default 0)"
    )
    added.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default 0)")
    added.add_argument("--threads", type=int, default=1, help="of torch, in each copy (default 1)")
    added.add_argument("--f32", action="store_true", help="float32 throughout, on processors without bfloat16")


def _train(options: argparse.Namespace) -> None:
    from functools import partial

    from stages.models.training.augment import AugmentConfig
    from stages.models.training.replicas import run_replicas
    from stages.models.training.train import TrainConfig, train_from_cache

    config = TrainConfig(
        minutes=options.minutes,
        batch=options.batch,
        width=options.width,
        height=options.height,
        learning_rate=options.learning_rate,
        seed=options.seed,
        threads=options.threads,
        bf16=not options.f32,
        augment=AugmentConfig(repaint_chance=options.repaint, whole_chance=options.whole),
    )
    body = partial(
        train_from_cache, cache=options.cache, checkpoint=options.checkpoint, config=config, start=options.start
    )
    run_replicas(options.copies, body)
