"""Where a publishing socket may listen: this machine only, unless keys say who may connect."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pipeline.errors import ConfigError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\]|[^:/\[\]]*):(?P<port>[0-9]{1,5}|\*)")
HIGHEST_PORT = 65_535


def check_bind(address: str, *, guarded: bool = False) -> str:
    """The address as ZeroMQ takes it. Raises `ConfigError` for one that is malformed or reachable from other machines.

    ``tcp://127.0.0.1:5560``, ``tcp://[::1]:5560``, ``tcp://localhost:*`` (any free port; 0 means the same), and
    ``ipc://path`` or ``ipc://@name`` are taken; `guarded`, where keys say who may connect, also ``tcp://0.0.0.0:5560``,
    ``tcp://*:5560``, any other address of this machine, and an interface, ``tcp://eth0:5560``.
    """
    if address.startswith("ipc://") and len(address) > len("ipc://"):
        return address
    match = _TCP.fullmatch(address)
    if match is None or not match["host"] or (match["port"] != "*" and int(match["port"]) > HIGHEST_PORT):
        raise ConfigError(
            f"publish.bind: {address!r} is not an address to publish at; tcp://127.0.0.1:PORT or ipc://PATH is needed"
        )
    host = "127.0.0.1" if match["host"] == "localhost" else match["host"]
    if not guarded and not _is_loopback(host):
        raise ConfigError(
            f"publish.bind: {address!r} could be reached from other machines, and nothing checks who subscribes; set "
            "publish.key and publish.clients ('everyframe keys --help' shows how), or publish at tcp://127.0.0.1:PORT"
        )
    return f"tcp://{host}:{'*' if match['port'] == '0' else match['port']}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name or an interface: what it stands for may change
        return False
