"""`everyframe keys`: make and list the keys by which publisher and subscribers know each other."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pipeline.cli.command import Command
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.keys import KeyFiles

NOTES: Final = """\
To publish to other machines, make a pair for the publisher and one for each subscriber, best where
it will be used: a secret key (NAME.key) need never leave its machine. Public keys (NAME.pub) may be
shown and copied. Name them in the publisher's configuration:

  publish:
    bind: tcp://0.0.0.0:5560
    key: ~/.config/everyframe/keys/site.key    # its own secret key
    clients: clients.txt                       # the lines that 'keys show NAME' prints, one a client

A line that is added to the list counts at once; whoever is taken out is refused at the next
connection. Secret keys are never printed, and never replaced.

exit codes: 0; 2 where it cannot be done as written"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to do")
    group.add_argument("action", metavar="ACTION", choices=tuple(ACTIONS), help="make, list or show")
    group.add_argument("name", metavar="NAME", nargs="?", help="make, show: of which pair")
    parser.add_argument(
        "-d", "--directory", metavar="DIR", help="where keys are kept (default: ~/.config/everyframe/keys)"
    )


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.keys import default_directory, path_of

    if (arguments.action == "list") != (arguments.name is None):
        wanted = "no name" if arguments.action == "list" else "a name"
        raise UsageError(f"keys {arguments.action} takes {wanted}; 'everyframe keys --help' shows how")
    directory = path_of(arguments.directory) if arguments.directory else default_directory()
    ACTIONS[arguments.action](directory, arguments.name)
    return 0


def _make(directory: Path, name: str) -> None:
    from pipeline.keys import PUBLIC, make_pair

    made = make_pair(name, directory)
    print(f"{made.secret_path}  secret, for this end alone")
    print(f"{directory / (name + PUBLIC)}  public: {made.public.key}")


def _list(directory: Path, _: str) -> None:
    from pipeline.keys import pairs_in

    pairs = pairs_in(directory)
    if not pairs:
        print(f"no keys in {directory}; 'everyframe keys make NAME' makes some")
        return
    width = max(len(pair.name) for pair in pairs)
    for pair in pairs:
        print(f"{pair.name:<{width}}  {pair.public.key}  {_secret(pair)}")


def _secret(pair: KeyFiles) -> str:
    from pipeline.keys import mode_fault

    if pair.secret_path is None:
        return "public key alone"
    return mode_fault(pair.secret_path) or f"secret in {pair.secret_path}"


def _show(directory: Path, name: str) -> None:
    from pipeline.keys import PUBLIC, PublicKey, check_name, public_key

    print(PublicKey(public_key(str(directory / f"{check_name(name)}{PUBLIC}"), setting="keys"), name))


ACTIONS: Final[dict[str, Callable[[Path, str], None]]] = {"make": _make, "list": _list, "show": _show}

COMMAND: Final = Command(
    help="Make and list the keys that publishing to other machines needs.",
    usage="[options] ACTION [NAME]",
    description="Make, list and show the keys by which a publisher and its subscribers know each other (CURVE, "
    "ZeroMQ's encryption). Publishing where other machines can connect is refused without.",
    examples=(
        "everyframe keys make site",
        "everyframe keys make alice",
        "everyframe keys show alice >> clients.txt",
        "everyframe keys list",
        "everyframe watch tcp://192.0.2.9:5560 --server-key site.pub --key alice.key",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes=NOTES,
)
