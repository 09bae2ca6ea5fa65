"""Tracks' events to an MQTT broker, in Frigate's shape.

``<prefix>/events`` gets every event at least once (QoS 1); ``<prefix>/available`` says ``online`` or ``offline``,
retained, the latter also when we die. With a zones file, ``<prefix>/zones`` gets what happens at lines and in zones,
likewise, in the shape that `pipeline.wire` gives it. The broker may come and go: what happens meanwhile waits in
memory, up to `queue_messages`; what comes then is lost, counted and complained of. Nothing here holds up who publishes.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from pipeline.config import MqttConfig, expand, redact
from pipeline.config.zones import ZonesConfig
from pipeline.errors import ConfigError, SinkError
from pipeline.messages import Item, Surface, ZoneEvent
from pipeline.stage import Progress
from pipeline.wire import encode_event
from stages.publish.deliveries import Deliveries
from stages.publish.events import TrackEvent, TrackEvents
from stages.publish.formats.frigate import to_frigate
from stages.zones import ZoneWatch

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_SECONDS: Final = 10
CONNECT_SECONDS: Final = 5.0
RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS = 1, 60
FLUSH_SECONDS: Final = 1.0
LOOP_END_SECONDS: Final = 0.5
IN_FLIGHT: Final = 20  # sent and not acknowledged yet
AT_LEAST_ONCE: Final = 1
ROOM_FOR_AVAILABILITY: Final = 100  # in the client's queue, beside as many events as wait at most


class MqttSink:
    """Sends the events of every source's tracks, from a thread of its own."""

    name: Literal["mqtt"] = "mqtt"
    needs_surface: Literal[False] = False

    def __init__(
        self, config: MqttConfig, *, zones: ZonesConfig | None = None, flush_seconds: float = FLUSH_SECONDS
    ) -> None:
        """Start connecting. Raises `AddressError` for a variable that is not set, `ConfigError` for certificates."""
        assert config.url is not None
        self._url = expand(config.url)
        self._topic, self._available = f"{config.prefix}/events", f"{config.prefix}/available"
        self._queue_messages, self._flush_seconds = config.queue_messages, flush_seconds
        self._events = TrackEvents()
        self._zones, self._zones_topic = None if zones is None else ZoneWatch(zones), f"{config.prefix}/zones"
        self._deliveries = Deliveries(redact(config.url))
        # Not one lock for sending and for hearing of it: the client calls back with a lock held that sending takes.
        self._changed = threading.Condition()
        self._waiting: dict[int, str] = {}  # events that are not acknowledged: message id -> source
        self._others: set[int] = set()  # other messages that are not
        self._early: set[int] = set()  # acknowledged before they stood there
        self._connected = self._closed = False
        self._told = ""  # the last trouble complained of
        self._client = self._connecting(config)
        self._client.loop_start()  # not before it is there for what its thread calls

    def write(self, item: Item, surface: Surface | None = None) -> None:
        """Queue the events that an item brings."""
        if self._closed:
            raise SinkError("mqtt: it is closed")
        self._send(self._events.take(item))
        if self._zones is not None:
            self._send_zones(self._zones.take(item))

    def progress(self) -> Progress:
        """Events by source, not results."""
        with self._changed:
            waiting = len(self._waiting)
        return self._deliveries.progress(reachable=self._connected, waiting=waiting)

    def complaints(self) -> list[SinkError]:
        """What went wrong since this was last asked."""
        return self._deliveries.complaints()

    def close(self) -> None:
        """End every track, give the broker a moment to acknowledge, and leave. Calling it twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self._send(self._events.end_all())
        if self._zones is not None:
            self._send_zones(self._zones.end_all())
        self._publish(self._available, b"offline", None, retain=True)
        if self._connected:
            with self._changed:
                self._changed.wait_for(lambda: not (self._waiting or self._others), self._flush_seconds)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="mqtt-end", daemon=True)
        ending.start()  # it may be in the middle of connecting to nobody
        ending.join(LOOP_END_SECONDS)
        with self._changed:
            left, self._waiting = list(self._waiting.values()), {}
        self._deliveries.leave(left)

    def _connecting(self, config: MqttConfig) -> paho.Client:
        parts = urlsplit(self._url)
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        if parts.username is not None:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set_context(_believing(config.ca_file))
        client.max_queued_messages_set(config.queue_messages + ROOM_FOR_AVAILABILITY)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS)
        client.connect_timeout = CONNECT_SECONDS
        client.will_set(self._available, "offline", AT_LEAST_ONCE, retain=True)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_publish = self._on_disconnect, self._on_publish
        client.connect_async(parts.hostname or "", parts.port or PORTS[parts.scheme], KEEPALIVE_SECONDS)
        return client

    def _send(self, events: Iterable[TrackEvent]) -> None:
        for event in events:
            self._publish(self._topic, msgspec.json.encode(to_frigate(event)), event.after.source_id)

    def _send_zones(self, events: Iterable[ZoneEvent]) -> None:
        for event in events:
            self._publish(self._zones_topic, encode_event(event), event.source_id)

    def _publish(self, topic: str, payload: bytes, source_id: str | None, *, retain: bool = False) -> None:
        with self._changed:
            full = len(self._waiting) >= self._queue_messages
        if full and source_id is not None:
            self._deliveries.lose(source_id, "the queue is full, the broker takes nothing; events are lost")
            return
        sent = self._client.publish(topic, payload, AT_LEAST_ONCE, retain)
        if sent.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return  # only where it came and went many times, and availability is all that is left out
        with self._changed:
            if sent.mid not in self._early:
                if source_id is None:
                    self._others.add(sent.mid)
                else:
                    self._waiting[sent.mid] = source_id
                return
            self._early.remove(sent.mid)
        if source_id is not None:
            self._deliveries.arrived(source_id)

    # Called by the client's thread.

    def _on_connect(
        self, client: paho.Client, _: Any, flags: paho.ConnectFlags, code: ReasonCode, more: Properties | None
    ) -> None:
        if code.is_failure:
            self._trouble(f"the broker refuses: {code}")
            return
        self._connected, self._told = True, ""
        self._publish(self._available, b"online", None, retain=True)

    def _on_connect_fail(self, client: paho.Client, _: Any) -> None:
        self._trouble("the broker cannot be reached; events wait in memory")

    def _on_disconnect(
        self, client: paho.Client, _: Any, flags: paho.DisconnectFlags, code: ReasonCode, more: Properties | None
    ) -> None:
        was, self._connected = self._connected, False
        if was and not self._closed:
            self._trouble(f"the connection was lost ({code}); events wait in memory")

    def _on_publish(self, client: paho.Client, _: Any, mid: int, code: ReasonCode, more: Properties | None) -> None:
        with self._changed:
            source_id = self._waiting.pop(mid, None)
            if source_id is None and mid not in self._others:
                self._early.add(mid)
                return
            self._others.discard(mid)
            self._changed.notify_all()
        if source_id is not None:
            self._deliveries.arrived(source_id)

    def _trouble(self, text: str) -> None:
        """Complain of it once, however often it is tried again."""
        if text != self._told:
            self._told = text
            self._deliveries.complain(text)


def _believing(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise ConfigError(f"mqtt.ca_file: {ca_file} cannot be read as certificates: {exc}") from exc
