"""From time to id: which entries of a stream are older than an age, when ids tell nothing of time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline.wire import EntryId

SAMPLES = 64  # an age is cut into: entries may stay for so much of it longer
SHORTEST_SPACING_NS = 1_000_000_000
Sample = tuple[int, int, int]  # wall clock in ns, and the id written then

_read = msgspec.msgpack.Decoder(dict[str, list[Sample]]).decode


class AgeIndex:
    """Samples of (time, id) by stream, kept in a file: after a restart trimming goes on where it was."""

    def __init__(self, age_seconds: float, path: Path) -> None:
        self._age_ns = int(age_seconds * 1e9)
        self._spacing_ns = max(SHORTEST_SPACING_NS, self._age_ns // SAMPLES)
        self._path = path
        self._latest: dict[str, Sample] = {}
        self._samples: dict[str, deque[Sample]] = {}
        for stream, samples in self._load().items():
            if samples:
                self._samples[stream] = deque(samples)
                self._latest[stream] = samples[-1]
        self._saved_ns = 0

    def __contains__(self, stream: str) -> bool:
        return stream in self._latest

    def note(self, stream: str, at: EntryId, time_ns: int) -> None:
        """An entry was written."""
        samples = self._samples.setdefault(stream, deque())
        self._latest[stream] = (time_ns, at.epoch, at.place)
        if samples and time_ns < samples[-1][0]:
            samples.clear()  # the clock was set back: what is there ages from now
        if not samples or time_ns - samples[-1][0] >= self._spacing_ns:
            samples.append(self._latest[stream])

    def too_old(self, now_ns: int) -> Iterator[tuple[str, EntryId]]:
        """For each stream with something too old, the first id to stay."""
        before_ns = now_ns - self._age_ns - self._spacing_ns  # what follows a sample is up to a spacing younger
        for stream, samples in list(self._samples.items()):
            if samples[0][0] > before_ns:
                continue
            while samples and samples[0][0] <= before_ns:
                samples.popleft()
            if samples:
                yield stream, EntryId(*samples[0][1:])
            else:
                _, epoch, place = self._latest.pop(stream)
                del self._samples[stream]
                yield stream, EntryId(epoch, place + 1)

    def save(self, now_ns: int, *, at_once: bool = False) -> None:
        """Write the file, not more often than a sample is due. Raises `OSError`."""
        if not at_once and now_ns - self._saved_ns < self._spacing_ns:
            return
        self._saved_ns = now_ns
        written = {stream: [*samples, self._latest[stream]] for stream, samples in self._samples.items()}
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.msgpack.encode(written))
        os.replace(temporary, self._path)

    def _load(self) -> dict[str, list[Sample]]:
        try:
            return _read(self._path.read_bytes())
        except (OSError, msgspec.DecodeError):  # none yet, or damaged: what is there ages from when it is next seen
            return {}
