"""Whether a Redis server keeps what it was given: it must not evict streams when its memory is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import SinkError

if TYPE_CHECKING:
    import redis

KEEPING = "noeviction"
MENDED_BY = "redis-cli config set maxmemory-policy noeviction"


def check_policy(client: redis.Redis) -> None:
    """Raises `SinkError` where the server may delete whole streams to make room."""
    policy = policy_of(client)
    if policy != KEEPING:
        raise SinkError(
            f"redis: the server's maxmemory-policy is {policy!r}, under which it deletes whole streams when its memory "
            f"is full; only {KEEPING!r} keeps results. Mend it with: {MENDED_BY} "
            f"(and 'maxmemory-policy {KEEPING}' in its redis.conf)"
        )


def policy_of(client: redis.Redis) -> str:
    """The eviction policy; from INFO where CONFIG is forbidden. Raises `SinkError` where both are."""
    from redis.exceptions import ResponseError

    try:
        return _text(dict(client.config_get("maxmemory-policy")), "maxmemory-policy")
    except ResponseError:  # NOPERM, or a hosted server without the command
        pass
    try:
        return _text(dict(client.info("memory")), "maxmemory_policy")
    except ResponseError as exc:
        raise SinkError(
            "redis: neither CONFIG GET nor INFO is permitted, so that the eviction policy cannot be known; "
            "grant one of them (ACL SETUSER ... +info)"
        ) from exc


def _text(answer: dict[Any, Any], name: str) -> str:
    value = answer.get(name, answer.get(name.encode(), ""))
    return value.decode() if isinstance(value, bytes) else str(value)
