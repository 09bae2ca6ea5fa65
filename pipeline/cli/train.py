"""`everyframe train`: a network from a recipe."""

from __future__ import annotations

import argparse
from typing import Any, Final

from pipeline.cli.command import Command
from pipeline.cli.complain import complain
from pipeline.cli.values import at_least
from pipeline.errors import UsageError

NOTES: Final = """\
DIR gets nano.safetensors (the averaged weights, with their classes), state.safetensors (what the
training goes on from), log.jsonl and curves.png. The same command again goes on where it was
ended, as if it had not been; a changed recipe wants another folder.

exit codes:
  0         all steps are over
  1         the labels are no use, the loss is no number any more, or DIR cannot be written
  2         the request cannot be carried out as written
  130, 143  ended by Ctrl-C or SIGTERM; the last step is kept"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="a YAML file; 'everyframe train --explain' says what is in it"
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="a folder, made if need be")
    parser.add_argument("--explain", action="store_true", help="print every setting of a recipe, and exit")
    change = parser.add_argument_group("in place of what the recipe says")
    change.add_argument("--steps", metavar="N", type=at_least(1, int), help="how many steps")
    change.add_argument("--batch", metavar="N", type=at_least(1, int), help="pictures a step")
    change.add_argument("--start", metavar="FILE", help="checkpoint or exported .onnx to start from")
    change.add_argument("--seed", metavar="N", type=at_least(0, int), help="of weights, order and changes")
    change.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tensorboard", action="store_true", help="also write DIR/tensorboard, for that program")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but what goes wrong")


def _execute(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from pipeline import workshop
    from pipeline.cli.interrupts import Interrupts
    from pipeline.cli.train_screen import screen_for

    if arguments.explain:
        for path, default, text in workshop.recipe_settings():
            print(f"{path:32} {default:12} {text}".rstrip())
        return 0
    if arguments.recipe is None or arguments.output is None:
        raise UsageError("RECIPE and --output DIR are needed; 'everyframe train --help' shows how they are given")
    recipe = workshop.read_recipe(Path(arguments.recipe), _changes(arguments))
    output = Path(arguments.output)
    with screen_for(quiet=arguments.quiet) as screen, Interrupts(tell=screen.ending) as interrupts:
        over = workshop.train(
            recipe,
            output,
            progress=screen.opening,
            tell=screen.step,
            interrupted=interrupts.asked,
            remark=screen.remark,
            tensorboard=arguments.tensorboard,
        )
    if over:
        screen.end(output)
        return 0
    complain(f"everyframe: ended by signal {interrupts.received}; {output} keeps it, and the same command goes on")
    return interrupts.exit_code


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says in place of the recipe."""
    names = ("steps", "batch", "start", "seed", "device")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


COMMAND: Final = Command(
    help="Train a network from a recipe: labelled pictures, the synthetic street, footage.",
    usage="RECIPE --output DIR",
    description="Train everyframe-nano, or parts of it, on labelled pictures, rendered streets and footage.",
    examples=(
        "everyframe train recipe.yaml --output build/nano",
        "everyframe train recipe.yaml --output build/nano      # again: goes on where it was ended",
        "everyframe train recipe.yaml --output build/tuned --start build/nano/nano.safetensors --steps 2000",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
