"""`everyframe config`: every setting, explained, as a file that can be used."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command, add_config_option


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.annotated_yaml import annotated
    from pipeline.config import PipelineConfig, load

    print(annotated(PipelineConfig() if arguments.config is None else load(arguments.config)), end="")
    return 0


COMMAND: Final = Command(
    help="Print every setting, explained, as YAML that --config takes.",
    usage="[options]",
    description="Print every setting with its description, as YAML that --config takes. With --config, check that file "
    "and print its settings among all the others.",
    examples=("everyframe config > everyframe.yaml", "everyframe config --config everyframe.yaml"),
    add_arguments=add_config_option,
    execute=_execute,
)
