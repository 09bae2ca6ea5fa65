"""Connecting to Redis: for the publisher and for readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.address import expand, redact, scrub
from pipeline.errors import AddressError
from pipeline.redis_address import check_redis_address, encoded
from pipeline.redis_replies import LARGEST_BYTES, bounded_parser
from pipeline.redis_tls import check_files, distrust

if TYPE_CHECKING:
    import redis

CLIENT_NAME = "everyframe"


class Gate:
    """Lets a client connect only while it is open.

    The client library replaces a connection that was closed without a word. Whoever must look again at what a server
    holds, since it may be another one now, closes the gate, and hears of the loss as an error.
    """

    def __init__(self) -> None:
        self.is_open = True

    def __call__(self, connection: Any) -> None:
        """Called by the client library with each new connection."""
        from redis.exceptions import ConnectionError as ConnectionLost

        if not self.is_open:
            raise ConnectionLost("the connection was lost")
        connection.on_connect()


def connected(
    address: str,
    *,
    connect_timeout_seconds: float,
    timeout_seconds: float,
    gate: Gate | None = None,
    most_bytes: int = LARGEST_BYTES,
) -> redis.Redis:
    """A client that connects when it is first used.

    It tries nothing twice by itself: what is written is written again only by who knows that this does no harm.

    Args:
        address: with `${NAME}` in place of secrets.
        gate: asked before every connection.
        most_bytes: of one text in an answer; what is larger comes as `Oversized`.

    Raises:
        UsageError: it cannot be read, a variable is not set, or a file of certificates that it names is none.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "client_name": CLIENT_NAME,
        "protocol": 2,
        "decode_responses": False,
        "redis_connect_func": gate,
        "parser_class": bounded_parser(most_bytes),
    }
    written = encoded(check_redis_address(expand(address)))
    if not written.startswith("unix:"):
        options |= {"socket_connect_timeout": connect_timeout_seconds, "socket_keepalive": True}
    if written.startswith("rediss:"):
        check_files(written)
    return redis.Redis.from_url(written, **options)


def is_refusal(error: Exception) -> bool:
    """Whether trying again is of no use until somebody mends it: we are not let in, or must not believe who answers."""
    from redis.exceptions import AuthenticationError, NoPermissionError

    return isinstance(error, AuthenticationError | NoPermissionError) or bool(distrust(error))


def told(error: Exception, address: str) -> str:
    """What a failure of the client library says, fit to be shown."""
    try:
        written = expand(address)
    except AddressError:  # the variable has gone from the environment meanwhile, and what it held may be in the text
        return f"{redact(address)}: {type(error).__name__}"
    text = distrust(error) or scrub(scrub(str(error), written), address) or type(error).__name__
    return f"{redact(address)}: {text.strip().rstrip('.')}"
