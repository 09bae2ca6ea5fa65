"""Settings of Redis Streams as a place results go."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pipeline.config.settings import Settings
from pipeline.errors import ConfigError
from pipeline.redis_address import DEFAULT_PREFIX, check_redis_address

StoredKind = Literal["boxes", "tracks", "masks", "all", "status"]


class RedisConfig(Settings, frozen=True, kw_only=True):
    """Redis Streams that results are kept in."""

    url: Annotated[
        str | None,
        Meta(
            description="redis://USER:${NAME}@HOST:PORT/0, rediss:// for TLS (?ssl_ca_certs=/PATH/ca.pem for an "
            "authority of one's own), or unix:///PATH; ${NAME} is taken from the environment. Null: nowhere."
        ),
    ] = None
    # Of the kinds, tracks hold what most readers act on, in a few KB a frame; masks would fill Redis' memory.
    kinds: Annotated[
        tuple[StoredKind, ...],
        Meta(min_length=1, description="What is stored, a stream each: boxes, tracks, masks, all, status."),
    ] = ("tracks",)
    prefix: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9:._/{}-]{0,64}$")],
        Meta(description="Streams are called PREFIX SOURCE/KIND, without the space."),
    ] = DEFAULT_PREFIX
    max_length: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)] | None,
        Meta(description="Entries kept a stream, give or take a hundred. Null: as many as there are."),
    ] = 10_000
    max_age_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=315_360_000)] | None,
        Meta(description="Entries older than this are dropped. Null: never for their age."),
    ] = None
    spool_directory: Annotated[
        str | None,
        Meta(description="Where results wait while Redis is away. Null: spool/NAME beside the epochs."),
    ] = None
    spool_mb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Most it may hold; beyond, the oldest become declared gaps.")
    ] = 256
    connect_timeout_seconds: Annotated[float, Meta(gt=0, le=60, description="For connecting.")] = 2.0
    timeout_seconds: Annotated[float, Meta(gt=0, le=60, description="For an answer.")] = 5.0


def check_redis(config: RedisConfig) -> None:
    """Refuse settings under which results could not be stored, or would fill Redis. Raises `ConfigError`."""
    if config.url is None:
        return
    check_redis_address(config.url, setting="redis.url")
    if config.max_length is None and config.max_age_seconds is None:
        raise ConfigError(
            "redis.max_length, redis.max_age_seconds: both are null; one is needed, or streams fill Redis' memory"
        )
    twice = {kind for kind in config.kinds if config.kinds.count(kind) > 1}
    if twice:
        raise ConfigError(f"redis.kinds: {', '.join(sorted(twice))} stands there twice")
