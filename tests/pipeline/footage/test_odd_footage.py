"""A folder of odd recordings among good ones: each is as a single reading has it, or refused by name."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import Pipeline
from pipeline.errors import SourceError
from tests.cameras.files import write_video
from tests.cameras.numbered import numbered_frames
from tests.pipeline.footage.test_process_command import process

WIDTH, HEIGHT, FRAMES = 128, 96, 130
REFUSED = {"sound.m4a.mp4", "empty.mp4", "half.mp4", "text.mkv"}


def written(
    path: Path, *, sizes: tuple[tuple[int, int], ...] = ((WIDTH, HEIGHT),), varying: bool = False, **more: Any
) -> None:
    """A video of parts of these sizes, each from a keyframe on."""
    import av

    codec, pixels = more.pop("codec", "libx264"), more.pop("pix_fmt", "yuv420p")
    with av.open(str(path), "w", **more) as container:
        made, at = None, 0
        for width, height in sizes:
            encoder: Any = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, pixels
            encoder.options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
            encoder.time_base, encoder.framerate, encoder.gop_size, encoder.max_b_frames = Fraction(1, 1000), 25, 12, 2
            if made is None:
                made = container.add_stream(codec, rate=25)
                made.width, made.height, made.pix_fmt, made.time_base = width, height, pixels, Fraction(1, 1000)
            packets = []
            for number, picture in enumerate(numbered_frames(FRAMES // len(sizes), width, height)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = at, Fraction(1, 1000)
                at += 40 + varying * (number % 5) * 17
                packets += encoder.encode(frame)
            for packet in [*packets, *encoder.encode(None)]:
                packet.stream = made
                container.mux(packet)


def sound(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    written(folder / "good.mp4")
    written(folder / "varying.mkv", varying=True)
    written(folder / "deep.mkv", codec="libx265", pix_fmt="yuv420p10le")
    written(folder / "sizes.ts", sizes=((WIDTH, HEIGHT), (HEIGHT, WIDTH), (WIDTH, HEIGHT)))
    written(folder / "sizes.mkv", sizes=((WIDTH, HEIGHT), (2 * WIDTH, HEIGHT)))
    written(folder / "plain.avi", codec="mpeg4")
    written(folder / "raw.h264", format="h264")
    written(folder / "fragments.mp4", options={"movflags": "frag_keyframe+empty_moov"})
    write_video(folder / "turned.mp4", list(numbered_frames(FRAMES, WIDTH, HEIGHT)), rotation=90)
    data = (folder / "fragments.mp4").read_bytes()
    (folder / "broken-off.mp4").write_bytes(data[: len(data) * 3 // 4])
    data = (folder / "sizes.ts").read_bytes()
    (folder / "jumps.ts").write_bytes(data + data)  # times begin again
    data = (folder / "varying.mkv").read_bytes()
    (folder / "no-index.mkv").write_bytes(data[: len(data) * 4 // 5])
    data = bytearray((folder / "good.mp4").read_bytes())
    (folder / "half.mp4").write_bytes(data[: len(data) // 2])
    for place in range(len(data) // 3, len(data) // 2, 997):
        data[place] ^= 0xFF
    (folder / "holes.mp4").write_bytes(data)
    (folder / "empty.mp4").touch()
    (folder / "text.mkv").write_text("no video\n" * 500)
    sound(folder / "sound.m4a.mp4")
    return folder


def read_at_once(path: Path, name: str, directory: Path) -> tuple[bytes, int] | None:
    """Results of one reading, and the packets that gave no frame; None where it is refused."""
    source, output = {"url": str(path), "source_id": name}, {"directory": str(directory)}
    pipeline = Pipeline(sources=[source], detector={"model": "none"}, output=output)
    try:
        for _ in pipeline.run():
            pass
    except SourceError:
        return None
    return (directory / "results.jsonl").read_bytes(), pipeline.statistics().sources[0].undecoded


def test_each_is_as_a_single_reading_has_it_or_refused_by_name(odd: Path, tmp_path: Path) -> None:
    target = tmp_path / "results"
    done = process(str(odd), "--output", str(target), "--detector", "none", "--workers", "3")
    assert done.returncode == 1
    told = {one["source"]: one for one in json.loads((target / "report.json").read_text())["recordings"]}
    assert len(told) == len(list(odd.iterdir()))
    for path in sorted(odd.iterdir()):
        outcome, wanted = told[str(path)], read_at_once(path, told[str(path)]["name"], tmp_path / path.name)
        assert (outcome["state"] == "refused") == (wanted is None) == (path.name in REFUSED), path.name
        if wanted is None:
            assert path.name in outcome["reason"]
            assert path.name in done.stderr
            continue
        results, undecoded = wanted
        assert (target / outcome["name"] / "results.jsonl").read_bytes() == results, path.name
        assert outcome["counts"]["undecoded"] == undecoded, path.name
    epochs = {
        line["epoch"]
        for line in map(json.loads, (target / told[str(odd / "sizes.ts")]["name"] / "results.jsonl").open())
    }
    assert epochs == {1, 2, 3}
