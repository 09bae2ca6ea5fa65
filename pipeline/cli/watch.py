"""`everyframe watch`: print what a running pipeline publishes."""

from __future__ import annotations

import argparse
from typing import Final

from pipeline.cli.command import Command, add_config_option
from pipeline.cli.values import at_least, names
from pipeline.cli.watch_topics import DEFAULT_TOPIC
from pipeline.redis_address import DEFAULT_PREFIX

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:5560"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("address").add_argument(
        "address",
        metavar="ADDRESS",
        nargs="?",
        help=f"where 'everyframe run' publishes; {DEFAULT_ADDRESS}, or what the configuration file says; or redis://HOST/0",
    )
    parser.add_argument(
        "-t",
        "--topic",
        metavar="SOURCE/KIND",
        action="append",
        help="what to subscribe to, any number of times; kinds are boxes, masks, tracks, all, status, frame, events, "
        "and masks.half, .quarter, .crops, .polygons, .coco; '*' stands for every source (default: "
        f"{DEFAULT_TOPIC}; the live table also shows how sources do)",
    )
    parser.add_argument(
        "-l", "--label", metavar="NAME,NAME", type=names, help="show only what is of these classes, where there is some"
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("auto", "live", "table", "json"),
        default="auto",
        help="live: a row a source, kept up to date; table: a line a message; json: one message a line, as in "
        "results.jsonl (default: live on a terminal, else table)",
    )
    parser.add_argument("-n", "--count", metavar="N", type=at_least(1, int), help="stop after N messages")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=at_least(0.1, float), help="stop when nothing came for so long"
    )
    parser.add_argument(
        "--start", metavar="now|beginning|ID", help="of redis://: where to begin in what is stored (default: now)"
    )
    parser.add_argument(
        "--prefix",
        metavar="TEXT",
        help="of Redis: what the names of the streams begin with (default: what the configuration file says, as "
        f"redis.prefix, else {DEFAULT_PREFIX})",
    )
    parser.add_argument("--redis", metavar="URL", help="of tcp://: take from this Redis what was lost on the way")
    parser.add_argument(
        "--server-key", metavar="KEY|FILE", help="public key of a publisher that encrypts, or a file that holds it"
    )
    parser.add_argument("--key", metavar="FILE", help="the secret key it lets in; 'everyframe keys' makes keys")
    add_config_option(parser)


def _execute(arguments: argparse.Namespace) -> int:
    from pipeline.cli.watch_loop import watch_until_done
    from pipeline.config import load

    config = load(arguments.config) if arguments.config is not None else None
    published, prefix = (None, DEFAULT_PREFIX) if config is None else (config.publish.bind, config.redis.prefix)
    return watch_until_done(
        arguments.address or published or DEFAULT_ADDRESS,
        arguments.topic,
        output_format=arguments.format,
        count=arguments.count,
        timeout_seconds=arguments.timeout,
        server_key=arguments.server_key,
        key=arguments.key,
        start=arguments.start,
        redis=arguments.redis,
        prefix=prefix if arguments.prefix is None else arguments.prefix,
        labels=arguments.label,
    )


COMMAND: Final = Command(
    help="Print what a running pipeline publishes.",
    usage="[options] [ADDRESS]",
    description="Print what a running pipeline publishes, until Ctrl-C; then tell how many messages were missed.",
    examples=(
        "everyframe watch",
        "everyframe watch tcp://127.0.0.1:5560 --topic door/tracks",
        "everyframe watch --topic '*/tracks' --topic '*/status' --format live",
        "everyframe watch --topic door/all --format json --count 100 > door.jsonl",
        "everyframe watch --topic door --label person,car",
        "everyframe watch --topic '*/status'",
        "everyframe watch 'redis://reader:${REDIS}@192.0.2.5/0' --topic door/tracks",
        "everyframe watch redis://192.0.2.5/0 --prefix 'site7:' --start beginning",
        "everyframe watch tcp://192.0.2.9:5560 --server-key site.pub --key alice.key",
    ),
    add_arguments=_add_arguments,
    execute=_execute,
    notes="exit code: 0; 1 if --count was asked for and did not come; 2 for what cannot be carried out as written",
)
