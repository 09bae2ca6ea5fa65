"""Where an MQTT broker or a webhook may be."""

from __future__ import annotations

import re
from typing import Final

from pipeline.address import redact
from pipeline.errors import ConfigError

_HOST: Final = r"(?:(?P<credentials>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
_MQTT: Final = re.compile(rf"mqtts?://{_HOST}/?", re.DOTALL)
_HTTP: Final = re.compile(rf"https?://{_HOST}(?P<path>[/?][^#\s]*)?", re.DOTALL)


def check_mqtt_url(url: str) -> str:
    """The address itself if a broker may be there, `${NAME}` in it unread. Raises `ConfigError`."""
    return _checked(url, _MQTT, "mqtt.url", "a broker; mqtt://HOST:1883 and mqtts://USER:${NAME}@HOST are")


def check_webhook_url(url: str) -> str:
    """The address itself if it may be posted to, `${NAME}` in it unread. Raises `ConfigError`."""
    return _checked(url, _HTTP, "webhook.url", "a webhook; https://HOST/PATH and http://HOST:8080/PATH are")


def _checked(url: str, pattern: re.Pattern[str], setting: str, allowed: str) -> str:
    if url.startswith("${"):
        return url  # stands in the environment as a whole, and is looked at when it is taken from there
    match = pattern.fullmatch(url)
    if match is None or (match["port"] is not None and not 0 < int(match["port"]) < 65536):
        raise ConfigError(f"{setting}: {redact(url)!r} is not the address of {allowed}")
    return url
