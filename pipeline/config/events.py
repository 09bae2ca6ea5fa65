"""Settings of places that hear of events: an MQTT broker, a webhook."""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

from msgspec import Meta

from pipeline.address import expand
from pipeline.config.settings import Settings
from pipeline.errors import ConfigError
from pipeline.event_address import check_mqtt_url, check_webhook_url

FROM_ENVIRONMENT: Final = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"


class MqttConfig(Settings, frozen=True, kw_only=True):
    """An MQTT broker that hears of tracks, in the shape of Frigate's events."""

    url: Annotated[
        str | None,
        Meta(
            description="mqtt://USER:${NAME}@HOST:1883, mqtts:// for TLS; ${NAME} is taken from the environment. "
            "Null: nowhere."
        ),
    ] = None
    prefix: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=200)],
        Meta(description="Topics are PREFIX/events and PREFIX/available; 'frigate' is what Frigate's readers know."),
    ] = "everyframe"
    ca_file: Annotated[
        str | None, Meta(description="Certificates a broker with TLS is believed by. Null: the system's.")
    ] = None
    queue_messages: Annotated[
        int, Meta(ge=1, le=60_000, description="Events kept while the broker is away; those after them are lost.")
    ] = 10_000


class WebhookConfig(Settings, frozen=True, kw_only=True):
    """An address that events or results are posted to as JSON."""

    url: Annotated[
        str | None,
        Meta(description="https://HOST/PATH or http://; ${NAME} is taken from the environment. Null: nowhere."),
    ] = None
    send: Annotated[
        Literal["events", "results"], Meta(description="events: new, update, end of tracks; results: every frame.")
    ] = "events"
    secret: Annotated[
        Annotated[str, Meta(pattern=FROM_ENVIRONMENT)] | None,
        Meta(description="What requests are signed with (HMAC SHA-256), only as ${NAME}. Null: they are not."),
    ] = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=120, description="For connecting, and again for an answer.")] = 5.0
    attempts: Annotated[int, Meta(ge=1, le=100, description="Tries before a message is given up.")] = 8
    retry_first_seconds: Annotated[float, Meta(gt=0, le=3600, description="Wait before the second try.")] = 1.0
    retry_max_seconds: Annotated[float, Meta(gt=0, le=3600, description="Longest wait between tries.")] = 60.0
    queue_messages: Annotated[
        int, Meta(ge=1, le=100_000, description="Messages kept while it is away; beyond, the oldest are lost.")
    ] = 10_000


def secret_of(setting: str | None) -> bytes | None:
    """The secret that `${NAME}` stands for; None for none. Raises `ConfigError` where it is not set."""
    if setting is None:
        return None
    name = setting.removeprefix("${").removesuffix("}")
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"webhook.secret: the environment variable {name} is not set")
    return os.fsencode(value)


def check_services(mqtt: MqttConfig, webhook: WebhookConfig) -> None:
    """Refuse what the environment says of them, before anything starts. Raises `ConfigError`, `AddressError`."""
    if mqtt.url is not None:
        check_mqtt_url(expand(mqtt.url))
    if webhook.url is not None:
        check_webhook_url(expand(webhook.url))
        secret_of(webhook.secret)


def check_events(mqtt: MqttConfig, webhook: WebhookConfig) -> None:
    """Refuse addresses that cannot be. Raises `ConfigError`."""
    if mqtt.url is not None:
        check_mqtt_url(mqtt.url)
    if webhook.url is not None:
        check_webhook_url(webhook.url)
