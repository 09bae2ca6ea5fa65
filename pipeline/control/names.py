"""The names of running pipelines: abstract sockets, which vanish with the process, however it ends."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path

SETTING = "supervisor.name"
_ROOM = "\0everyframe/control/"
_PATH = re.compile(r"@everyframe/control/(?P<uid>[0-9]{1,10})/(?P<name>[A-Za-z0-9._-]{1,64})")
_UCRED = struct.Struct("3i")  # pid, uid, gid
_LISTENS = 0x10000  # __SO_ACCEPTCON in /proc/net/unix


def derived_name(config_file: str | None, first_source: str) -> str:
    """What to call a pipeline that was given no name: as its configuration file, else as its first source."""
    text = Path(config_file).stem if config_file is not None else first_source
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:60] or "everyframe"


def address_of(name: str) -> str:
    """The abstract address at which a pipeline of that name, of this user, is spoken to."""
    return f"{_ROOM}{os.getuid()}/{name}"


def running() -> dict[str, str]:
    """Where the pipelines are spoken to that run on this machine, by name: this user's; to root, everybody's.

    Of several users' pipelines of one name, those after the first are called ``<uid>/<name>``.
    """
    found: dict[str, str] = {}
    own = os.getuid()
    for uid, name in sorted(_listening(), key=lambda each: (each[0] != own, each)):
        if uid == own or own == 0:
            found[name if name not in found else f"{uid}/{name}"] = f"{_ROOM}{uid}/{name}"
    return found


def may_ask(peer: socket.socket) -> bool:
    """Whether the process at the other end belongs to this user, or to root, as the kernel says."""
    return _uid_of(peer) in (os.getuid(), 0)


def is_owner(peer: socket.socket, address: str) -> bool:
    """Whether the process at the other end belongs to the user whose the address is."""
    return address.startswith(f"{_ROOM}{_uid_of(peer)}/")


def _uid_of(peer: socket.socket) -> int:
    _, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def _listening() -> set[tuple[int, str]]:
    """User and name of every pipeline."""
    found = set()
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as sockets:
        next(sockets)  # the heads of the columns
        for line in sockets:
            fields = line.split(maxsplit=7)
            if (
                len(fields) == 8
                and int(fields[3], 16) & _LISTENS
                and (match := _PATH.fullmatch(fields[7].rstrip("\n")))
            ):
                found.add((int(match["uid"]), match["name"]))
    return found
