"""Settings of a source, and the rules that hold for all sources of a pipeline."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from pipeline.address import (
    check_source_id,
    derive_source_id,
    device_path,
    expand,
    is_folder,
    is_live,
    is_recording,
    local_path,
    redact,
    scheme_of,
    split_name,
    unique,
)
from pipeline.config.settings import Settings
from pipeline.errors import AddressError, ConfigError, UsageError
from pipeline.files_root import check_within

STANDARD_INPUT_DESCRIPTOR: Final = 0


class SourceConfig(Settings, frozen=True, kw_only=True):
    """One camera, file, folder, or standard input."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="RTSP or HTTP URL, file, folder of segments, or - for stdin; ${NAME}: from the environment.",
        ),
    ]
    source_id: Annotated[str, Meta(description="Its name in topics and files; empty: derived from the url.")] = ""
    realtime: Annotated[bool, Meta(description="Pace a file like a camera, dropping what comes too late.")] = False
    transport: Annotated[Literal["tcp", "udp", "multicast"], Meta(description="How RTSP carries media.")] = "tcp"
    decode: Annotated[
        Literal["auto", "cpu"], Meta(description="cpu: in a process of its own, whatever the pipeline's decode says.")
    ] = "auto"
    priority: Annotated[
        int, Meta(ge=1, le=100, description="Share of a busy network against others (engine local).")
    ] = 1
    target_fps: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Frames a second to analyse; boxes of the others are the tracker's prediction. 0: every frame.",
        ),
    ] = 0.0
    began: Annotated[
        str,
        Meta(description="When a file's first frame was captured, ISO 8601. Empty: as its container says, else 1970."),
    ] = ""
    open_timeout_seconds: Annotated[
        float, Meta(gt=0, le=60, description="For connecting, and again for describing.")
    ] = 4.0
    read_timeout_seconds: Annotated[
        float, Meta(gt=0, le=600, description="Without a decoded frame the connection is given up.")
    ] = 10.0
    max_pixels: Annotated[int, Meta(ge=1024, description="Larger pictures are refused before they are allocated.")] = (
        8192 * 4320
    )

    poll_seconds: Annotated[
        float, Meta(ge=0.01, le=3600, description="How often a folder is looked into for new segments.")
    ] = 1.0
    settle_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="A segment not written to for so long is complete; before a later one, poll_seconds do.",
        ),
    ] = 10.0

    @property
    def lossless(self) -> bool:
        """Whether nothing may be dropped: a file or a folder that is not paced."""
        return not is_live(self.url) and not self.realtime

    @property
    def offline(self) -> bool:
        """Whether the same comes out whenever it is run: a recording, from its start to its end, nothing dropped."""
        return is_recording(self.url) and not self.realtime

    @property
    def shown(self) -> str:
        """The address fit for logs."""
        return redact(self.url)


def named_sources(sources: Iterable[str | SourceConfig], *, taken: Iterable[str] = ()) -> list[SourceConfig]:
    """Every source as a mapping with an id that no other source has, nor any of `taken`; a folder ends with ``/``.

    Raises `AddressError`, `ConfigError`.
    """
    used = set(taken)
    named: list[SourceConfig] = []
    for source in sources:
        if isinstance(source, str):
            name, url = split_name(source)
            source = SourceConfig(url=url, source_id=name or "")
        url = _settled(source.url)
        if source.source_id:
            source_id = check_source_id(source.source_id)
            if source_id in used:
                raise ConfigError(f"sources: two are called {source_id!r}; every source needs its own name")
        else:
            source_id = unique(derive_source_id(url), used)
        if scheme_of(url) == "stdin" and any(scheme_of(other.url) == "stdin" for other in named):
            raise ConfigError("sources: only one can read standard input ('-')")
        used.add(source_id)
        named.append(msgspec.structs.replace(source, url=url, source_id=source_id))
    return named


def _settled(url: str) -> str:
    """The address, with a ``/`` at the end of a folder that is there: what it is does not change while a run lasts."""
    if scheme_of(url) != "file" or url.endswith("/"):
        return url
    try:
        path = expand(url)
        is_folder_there = not path.endswith("/") and local_path(path).is_dir()
    except (AddressError, OSError, ValueError):  # a variable that is not set; a name that the system will not look for
        return url
    return f"{url}/" if is_folder_there else url


def check_source(source: SourceConfig, *, files_root: str | None) -> None:
    """Refuse a named source that a pipeline with this root of files must or could not open. Raises `AddressError`.

    It is asked of every source before it takes part, wherever it comes from; opening asks again.
    """
    if scheme_of(source.url) == "webcam":
        device_path(source.url)
    if scheme_of(source.url) == "file" and source.url.endswith((".yaml", ".yml")):
        raise ConfigError(f"source {source.shown}: is no video; a configuration is given as --config {source.shown}")
    _check_began(source)
    if files_root is not None and scheme_of(source.url) == "file":
        check_within(local_path(expand(source.url)), files_root, who=source.source_id or source.shown)


def _check_began(source: SourceConfig) -> None:
    if not source.began:
        return
    who = f"source {source.source_id!r}: began"
    if not is_recording(source.url) or is_folder(source.url):
        raise ConfigError(f"{who} is {source.began!r}; only a file begins at a time that can be told, and is needed")
    try:
        moment = datetime.fromisoformat(source.began)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year < 1970:
        raise ConfigError(f"{who} is {source.began!r}; a time since 1970 with its zone, as 2026-11-26T10:30:15+01:00")


def check_added(source: SourceConfig) -> None:
    """Refuse what only a pipeline that starts can take. Raises `UsageError`."""
    if scheme_of(source.url) == "stdin":
        raise UsageError(
            f"source {source.source_id!r}: standard input ('-') is read by a pipeline from its start, and cannot be"
            " added to one that runs"
        )


def check_standard_input(sources: Iterable[SourceConfig]) -> None:
    """Refuse to read a video from a terminal, or from nothing. Raises `UsageError`."""
    for source in sources:
        if scheme_of(source.url) != "stdin":
            continue
        try:
            os.fstat(STANDARD_INPUT_DESCRIPTOR)
        except OSError:
            raise UsageError(f"source {source.source_id!r}: standard input is closed; pipe a video into it") from None
        if os.isatty(STANDARD_INPUT_DESCRIPTOR):
            raise UsageError(f"source {source.source_id!r}: standard input is a terminal; pipe a video into it")
