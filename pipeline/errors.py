"""Every error that crosses everyframe's API.

::

    EveryframeError                 exit code 1
    ├── UsageError                  exit code 2: the request cannot be carried out as written
    │   ├── ConfigError             a setting: its path, the value, what is allowed
    │   ├── AddressError            a source address that cannot be read or is not allowed
    │   └── GraphError              stages that cannot work in the order given
    ├── SourceError                 a camera or file; carries the source's `state`
    │   ├── SourceNotFound          missing file, 404, a host that does not resolve
    │   ├── SourceUnreachable       refused, reset, timed out
    │   ├── SourceUnauthorized      401, 403
    │   ├── SourceUnsupported       no video stream, a codec or size that is not taken
    │   └── NoDecodableFrames       opened, and gave no frame
    ├── ModelError                  a network: missing, unreadable, of an unknown layout, giving wrong shapes
    ├── DecodeError             a packet that gave no picture
    ├── DeviceLost                  the device a network ran on failed for good: its process is replaced
    ├── WireError                   bytes that are not a message of ours, or exceed a limit
    ├── LinkError                   a link between workers that broke
    └── SinkError                   a place results go that does not take them
        └── InUse                   another process holds it, perhaps not for long

Foreign errors (FFmpeg, OpenVINO, ZeroMQ, Redis) are translated once, where they enter, ``from exc``.
Messages say what was wrong, the value and what is allowed, and never hold a password.
"""

from __future__ import annotations

from typing import ClassVar

from pipeline.states import SourceState


class EveryframeError(Exception):
    """Base of every error that everyframe raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(EveryframeError):
    """The request cannot be carried out as written."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type or out of range; the message starts with its path."""


class AddressError(UsageError):
    """A source address cannot be read, or its scheme is not allowed."""


class GraphError(UsageError):
    """The stages cannot work in the order given."""


class SourceError(EveryframeError):
    """A source failed; `state` says how."""

    state: ClassVar[SourceState] = SourceState.FAULTED


class SourceNotFound(SourceError):  # noqa: N818 - reads as what happened, under a base that says Error
    """The file, path or host does not exist."""

    state: ClassVar[SourceState] = SourceState.NOT_FOUND


class SourceUnreachable(SourceError):  # noqa: N818
    """The host refused, reset or did not answer in time."""


class SourceUnauthorized(SourceError):  # noqa: N818
    """The camera refused the credentials."""

    state: ClassVar[SourceState] = SourceState.UNAUTHORIZED


class SourceUnsupported(SourceError):  # noqa: N818
    """There is no video, or none that can be taken."""

    state: ClassVar[SourceState] = SourceState.UNSUPPORTED


class NoDecodableFrames(SourceError):  # noqa: N818
    """The source opened and gave no frame."""

    state: ClassVar[SourceState] = SourceState.NO_DECODABLE_FRAMES


class ModelError(EveryframeError):
    """A network is missing, unreadable, of an unknown layout, or gives outputs of the wrong shape."""


class DataError(EveryframeError):
    """Pictures and labels that nothing can be learnt from or measured on: missing, broken, or not of each other."""


class DecodeError(EveryframeError):
    """A packet gave no picture."""


class DeviceLost(EveryframeError):  # noqa: N818
    """The device a network ran on failed, and this process cannot use it any more."""


class WorkerError(EveryframeError):
    """A worker process ended, and another would too."""


class WireError(EveryframeError):
    """Bytes that are not a message of ours, or exceed a limit."""


class LinkError(EveryframeError):
    """A link between workers broke."""


class SinkError(EveryframeError):
    """A place results go does not take them."""


class InUse(SinkError):  # noqa: N818
    """Another process holds the place results should go."""


def error_called(name: str, message: str) -> EveryframeError:
    """An error as another process told it; of a class that is not ours, the base of ours."""
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, EveryframeError):
        return kind(message)
    return EveryframeError(message)
