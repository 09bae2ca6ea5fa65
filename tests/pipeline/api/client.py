"""A client that says exactly what a test tells it to, byte for byte, and hears all of the answer."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

PATIENCE_SECONDS = 60.0


def connected(address: str) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=PATIENCE_SECONDS)


def everything(connection: socket.socket) -> bytes:
    """All that the server says until it closes, or resets, the connection."""
    heard = b""
    try:
        while data := connection.recv(65_536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def say(address: str, head: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body of the answer to these bytes."""
    with connected(address) as connection:
        connection.sendall(head)
        return parsed(everything(connection))


def get(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to an ordinary GET."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": "localhost"} | headers).items())
    return say(address, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """An answer taken apart; its length is as it says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert first.startswith("HTTP/1.1 "), answer
    return int(first.split(" ")[1]), headers, body
