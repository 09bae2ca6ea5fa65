"""The sound of a recording beside its drawn pictures: copied where MP4 takes it, else coded as AAC."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
from av.container import InputContainer, OutputContainer
from av.stream import Discard

from stages.decode.container import open_container
from stages.decode.faults import FOREIGN
from stages.exports.entry import Job
from stages.exports.pictures import source_of
from stages.exports.place import written

COPIED: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})  # what players know in an MP4
AAC_RATES: Final = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
LEAD_SECONDS: Final = Fraction(1, 10)  # kept before the first picture: decoders need a packet or two to settle
MOVFLAGS: Final = "+faststart"

Timed = tuple[Fraction, int, Any]  # seconds on the new time line, 0 for pictures and 1 for sound, a packet


class Span(NamedTuple):
    """Seconds on the time line of a recording."""

    start: Fraction
    end: Fraction


def add_sound(drawn: Path, target: Path, job: Job, span: Span) -> bool:
    """Write `target`: the pictures of `drawn`, an MP4, and the sound that the recording has in this time.

    False, and no usable file, where the recording has no sound, or none that can be read; what of it cannot is
    left out. Raises `SinkError`, `SourceError`, `Stopped`.
    """
    source = source_of(job.source, job.videos[0])
    recording = open_container(source, source.url).container
    try:
        sound = next((stream for stream in recording.streams.audio if stream.codec_context is not None), None)
        if sound is None:
            return False
        for stream in recording.streams:
            stream.discard = Discard.default if stream is sound else Discard.all
        with written(target):
            return _joined(drawn, recording, sound, target, job, span)
    except av.FFmpegError:  # what is no error of the system is one of the sound, which MP4 or a filter did not take
        return False
    finally:
        recording.close()


def _joined(drawn: Path, recording: InputContainer, sound: Any, target: Path, job: Job, span: Span) -> bool:
    with (
        av.open(str(drawn)) as pictures,
        av.open(str(target), "w", format="mp4", options={"movflags": MOVFLAGS}) as output,
    ):
        seen = output.add_stream_from_template(pictures.streams.video[0])
        heard = _Copied(output, sound, span) if _is_copied(sound) else _Coded(output, sound, span)
        own = _pictures(pictures, seen)
        other = heard.packets(recording)
        first = next(other, None)
        if first is None:
            return False
        output.start_encoding()
        for _, _, packet in heapq.merge(own, _with(first, other), key=lambda timed: timed[:2]):
            job.check()
            output.mux(packet)
    return True


def _with(first: Timed, rest: Iterator[Timed]) -> Iterator[Timed]:
    yield first
    yield from rest


def _is_copied(sound: Any) -> bool:
    """AAC of a transport stream says in each packet what an MP4 says once."""
    name = sound.codec_context.codec.canonical_name
    return name in COPIED and (name != "aac" or bool(sound.codec_context.extradata))


def _pictures(pictures: InputContainer, stream: Any) -> Iterator[Timed]:
    for packet in pictures.demux(video=0):
        if packet.dts is not None:
            at = packet.dts * packet.time_base
            packet.stream = stream
            yield at, 0, packet


class _Copied:
    """Packets as they are."""

    def __init__(self, output: OutputContainer, sound: Any, span: Span) -> None:
        self._sound, self._span = sound, span
        self._stream = output.add_stream_from_template(sound)

    def packets(self, recording: InputContainer) -> Iterator[Timed]:
        """Those of the time and shortly before it, in order."""
        last = None
        for packet in _demuxed(recording, self._sound):
            if packet.dts is None or packet.pts is None or packet.is_corrupt:
                continue
            offset = round(self._span.start / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            at = packet.dts * packet.time_base
            if at >= self._span.end - self._span.start:
                return
            if at < -LEAD_SECONDS or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream = self._stream
            yield at, 1, packet


class _Coded:
    """Decoded, with silence where it pauses, and coded anew."""

    def __init__(self, output: OutputContainer, sound: Any, span: Span) -> None:
        self._sound, self._span = sound, span
        rate = sound.codec_context.sample_rate
        self._rate = rate if rate in AAC_RATES else 48_000
        self._layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream: Any = output.add_stream("aac", rate=self._rate, layout=self._layout)

    def packets(self, recording: InputContainer) -> Iterator[Timed]:
        """From the start on, in order; silence before the first sound."""
        for frame in _evened(self._frames(recording), self._sound, self._span.start, self._rate, self._layout):
            yield from self._timed(frame)
        yield from self._timed(None)

    def _timed(self, frame: Any) -> Iterator[Timed]:
        for packet in self._stream.encode(frame):
            yield packet.dts * packet.time_base, 1, packet

    def _frames(self, recording: InputContainer) -> Iterator[Any]:
        for packet in _demuxed(recording, self._sound):
            if packet.pts is not None and packet.pts * packet.time_base >= self._span.end:
                return
            try:
                yield from self._sound.codec_context.decode(packet)
            except FOREIGN:
                continue


def _evened(frames: Iterator[Any], sound: Any, start: Fraction, rate: int, layout: str) -> Iterator[Any]:
    """Frames that follow each other without a hole, the first at 0: gaps filled, what comes before it cut off."""
    graph: Any = None
    for frame in frames:
        if frame.pts is None:
            continue
        if graph is None:
            graph = _graph(frame, sound.time_base, start, rate, layout)
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _graph(frame: Any, time_base: Fraction, start: Fraction, rate: int, layout: str) -> Any:
    graph = av.filter.Graph()
    chain = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=time_base,
        ),
        graph.add("asetpts", f"PTS-{float(start):.9f}/TB"),
        graph.add("aresample", f"{rate}:async=1000:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
        graph.add("asetnsamples", "n=1024:p=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _demuxed(recording: InputContainer, sound: Any) -> Iterator[Any]:
    """Packets of one stream; what cannot be read ends it."""
    packets = recording.demux(sound)
    while True:
        try:
            packet = next(packets, None)
        except FOREIGN:
            return
        if packet is None:
            return
        yield packet
