"""`everyframe reload`: apply the edited configuration file of a running pipeline."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command
from pipeline.cli.source import add_pipeline_option


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.control.client import ask, choose
    from pipeline.control.protocol import Reload, Reloaded

    name = choose(arguments.pipeline)
    reply = ask(name, Reload())
    assert isinstance(reply, Reloaded)
    told = [
        f"{what}: {', '.join(names)}"
        for what, names in (("added", reply.added), ("removed", reply.removed), ("changed", reply.changed))
        if names
    ]
    print(f"{name}: {'; '.join(told) or 'nothing changed'}; untouched: {reply.untouched}")
    return 0


COMMAND: Final = Command(
    help="Apply the edited configuration file of a running pipeline.",
    usage="[options]",
    description="Have a running pipeline read the configuration file it was started with again, and apply what changed "
    "in its sources: those that are new come, those that are gone go, those with other settings go and come again. The "
    "others do not notice. Sources that 'everyframe source add' added stay. Where any other setting was changed, it is "
    "named, and nothing happens: those take a restart.",
    examples=("everyframe reload", "everyframe reload --pipeline everyframe"),
    add_arguments=add_pipeline_option,
    execute=_execute,
    notes="exit codes: 0; 2 where the file cannot be applied, which changes nothing; 1 where nobody answers",
)
