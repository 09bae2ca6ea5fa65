"""Asking a running pipeline."""

from __future__ import annotations

import socket
from typing import Final

from pipeline.control.names import address_of, is_owner, running
from pipeline.control.protocol import MOST_REPLY_BYTES, Refused, Reply, Request, encode, read_reply, receive, send
from pipeline.errors import LinkError, UsageError, WireError, error_called

ANSWER_SECONDS: Final = 60.0


def choose(name: str | None) -> str:
    """The pipeline that is meant; without a name the only one that runs. Raises `UsageError` where that is none."""
    names = list(running())
    if name is not None and name not in names:
        there = f"; there are {', '.join(names)}" if names else ""
        raise UsageError(f"no pipeline called {name!r} runs{there}")
    if not names:
        raise UsageError("no pipeline of this user runs on this machine; start one with 'everyframe run'")
    if name is None and len(names) > 1:
        raise UsageError(f"several pipelines run: {', '.join(names)}; choose one with --pipeline NAME")
    return name or names[0]


def ask(name: str, request: Request, *, seconds: float = ANSWER_SECONDS) -> Reply:
    """Its answer. Raises the error with which it refuses, and `LinkError` where it does not answer."""
    data = encode(request)
    address = running().get(name) or address_of(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(seconds)
        try:
            channel.connect(address)
        except OSError as exc:
            raise LinkError(f"the pipeline {name!r} cannot be reached: {exc.strerror}") from exc
        if not is_owner(channel, address):
            raise LinkError(f"what answers as the pipeline {name!r} belongs to another user")
        try:
            send(channel, data, seconds=seconds)
            reply = read_reply(receive(channel, most_bytes=MOST_REPLY_BYTES, seconds=seconds))
        except WireError as exc:
            raise LinkError(f"the pipeline {name!r} did not answer: {exc}") from exc
    if isinstance(reply, Refused):
        raise error_called(reply.error, reply.message)
    return reply
