"""Compressed clips for benchmarks that decode: made where PyAV is, read where it is not.

``python -m tests.benchmarks.clips FOLDER`` makes 1080p30 H.264 and HEVC clips of the sample's pictures, without frames
that are reordered, as cameras send them. `packets_in` reads one by PyNvVideoCodec's demuxer on a GPU machine, and by
PyAV elsewhere.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.messages import CodedPacket, StreamHeader

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "samples" / "crossing" / "crossing.mp4"
FOLDER = ROOT / "out" / "clips"
WIDTH, HEIGHT, RATE = 1920, 1080, 30
CODECS = {"h264": "libx264", "hevc": "libx265"}


def clip_of(codec: str) -> Path:
    """The clip of a codec. Raises `FileNotFoundError` with the command that makes it."""
    path = FOLDER / f"street-1080p30.{codec}.mp4"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; `python -m tests.benchmarks.clips {FOLDER}` makes it")
    return path


def make(folder: Path, *, frames: int) -> None:
    """Clips of all codecs."""
    import av

    folder.mkdir(parents=True, exist_ok=True)
    for codec, encoder in CODECS.items():
        path = folder / f"street-1080p30.{codec}.mp4"
        with av.open(str(SAMPLE)) as source, av.open(str(path), "w") as target:
            stream: Any = target.add_stream(encoder, rate=RATE)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = {"g": "60", "bf": "0", "crf": "26", "preset": "fast", "x265-params": "log-level=none"}
            for number, picture in zip(range(frames), source.decode(video=0), strict=False):
                large = picture.reformat(width=WIDTH, height=HEIGHT, format="yuv420p")
                large.pts, large.time_base = number, Fraction(1, RATE)
                target.mux(stream.encode(large))
            target.mux(stream.encode(None))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def packets_in(path: Path, *, library: Any = None) -> tuple[StreamHeader, list[CodedPacket]]:
    """A clip's packets. `library`: PyNvVideoCodec, whose demuxer reads it; None: PyAV's."""
    if library is None:
        from pipeline.config import SourceConfig
        from stages.decode.container import open_container
        from stages.decode.packets import header_of, packets_of

        opened = open_container(SourceConfig(url=str(path), source_id="clip"), str(path))
        header, found = header_of(opened, live=False), list(packets_of(opened, live=False))
        opened.container.close()
        return header, found
    demuxer = library.CreateDemuxer(str(path))
    header = StreamHeader(
        codec="hevc" if "hevc" in path.name else "h264",
        extradata=b"",
        width=demuxer.Width(),
        height=demuxer.Height(),
        reorders=False,
        time_base=Fraction(1, RATE),
        frame_rate=Fraction(RATE),
        frame_count=None,
        matrix=None,
        range="limited",
        live=False,
        timed=True,
        reported=False,
    )
    return header, list(_demuxed(demuxer))


def _demuxed(demuxer: Any) -> Iterator[CodedPacket]:
    for number, packet in enumerate(demuxer):
        if packet.bsl:
            data = ctypes.string_at(packet.bsl_data, packet.bsl)
            yield CodedPacket(data=data, pts=number, dts=number, is_key=bool(packet.key), arrival_ns=0)


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--frames", type=int, default=350)
    given = parser.parse_args()
    make(given.folder, frames=given.frames)


if __name__ == "__main__":
    main()
