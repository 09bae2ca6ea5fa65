"""Pieces of a recording, decoded by themselves, are together what the whole gives: to the byte, and counted alike."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import SourceConfig
from pipeline.errors import NoDecodableFrames, SinkError
from pipeline.footage.cutting import Selection, chooser, cut
from pipeline.footage.records import Header, PieceFile, PieceWriter, Record, State, found
from pipeline.messages import Counted, Detections, PanopticMap, Piece, Segments, Surface, Survey, Transform
from stages.decode.piece_reader import PieceReader
from stages.decode.reader import VideoReader
from stages.decode.source import open_source
from stages.decode.survey import survey
from tests.cameras.numbered import numbered_frames

WIDTH, HEIGHT, FRAMES = 160, 96, 260
OPEN_GOP = {"g": "20", "bf": "3", "x264-params": "open-gop=1:scenecut=0", "preset": "veryfast"}
CLIPS: dict[str, tuple[str, str, dict[str, str]]] = {
    "closed.mp4": ("mp4", "libx264", {"g": "25", "bf": "2", "preset": "veryfast"}),
    "open.mkv": ("matroska", "libx264", OPEN_GOP),
    "open.mp4": ("mp4", "libx264", OPEN_GOP),
    "refreshed.mp4": ("mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20", "preset": "veryfast"}),
    "cra.mkv": (
        "matroska",
        "libx265",
        {"x265-params": "keyint=20:open-gop=1:bframes=3:log-level=none", "preset": "fast"},
    ),
    "open.ts": ("mpegts", "libx264", OPEN_GOP),
    "vp9.webm": ("webm", "libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "pictures.mkv": ("matroska", "mjpeg", {}),
}


def source_of(path: Path) -> SourceConfig:
    return SourceConfig(url=str(path), source_id="clip")


def write(path: Path, container: str, codec: str, options: dict[str, str], *, varying: bool = False) -> Path:
    import av

    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        at = 0
        for number, picture in enumerate(numbered_frames(FRAMES, WIDTH, HEIGHT)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            at += 40 + (number % 7) * 11 * varying
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, how in CLIPS.items():
        write(folder / name, *how)
    return folder


def digest(surface: Surface) -> str:
    return hashlib.sha256(b"".join(plane.tobytes() for plane in surface.planes)).hexdigest()


def whole(path: Path) -> tuple[list[tuple[int | None, str]], VideoReader]:
    reader = open_source(source_of(path), next_epoch=itertools.count(1).__next__)
    shown = [(frame.pts, digest(frame.surface)) for frame in reader]
    reader.close()
    assert isinstance(reader, VideoReader)
    return shown, reader


def pieces(path: Path, cuts: list[Piece]) -> Iterator[tuple[list[tuple[int | None, str]], PieceReader]]:
    for piece in cuts:
        reader = PieceReader(source_of(path), piece)
        shown = [(picture.pts, digest(picture.surface)) for picture in reader.pictures()]
        reader.close()
        yield shown, reader


def check(path: Path, *, least: int) -> int:
    """The number of pieces."""
    shown, reader = whole(path)
    cuts = [one.piece for one in cut(survey(source_of(path)), Selection(), workers=8)]
    assert len(cuts) >= least
    parts = list(pieces(path, cuts))
    assert [picture for part, _ in parts for picture in part] == shown
    readers = [one for _, one in parts]
    counted = sum((one.counted for one in readers), start=Counted())
    assert (counted.undecoded, counted.damaged) == (reader.undecoded, reader.damaged)
    return len(cuts)


@pytest.mark.parametrize("name", CLIPS)
def test_pieces_are_the_whole(name: str, clips: Path) -> None:
    check(clips / name, least=4)


def test_times_that_vary(tmp_path: Path) -> None:
    check(write(tmp_path / "vfr.mkv", "matroska", "libx264", OPEN_GOP, varying=True), least=4)


@pytest.mark.parametrize("name", ["closed.mp4", "open.mkv", "open.ts"])
@pytest.mark.parametrize("how", ["short", "holes"])
def test_damage_is_counted_alike(name: str, how: str, clips: Path, tmp_path: Path) -> None:
    data = bytearray((clips / name).read_bytes())
    if how == "short":
        if name.endswith("mp4"):
            pytest.skip("its index lies at the end")
        data = data[: len(data) * 2 // 3]
    else:
        rng = np.random.default_rng(3)
        for place in rng.integers(len(data) // 4, len(data) * 3 // 4, 12):
            data[place : place + 40] = rng.bytes(40)
    path = tmp_path / name
    path.write_bytes(data)
    check(path, least=1)


def test_an_annex_b_stream_is_one_piece(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.h264", "h264", "libx264", {"g": "20"})
    assert not survey(source_of(path)).can_be_cut
    assert check(path, least=1) == 1


def test_a_piece_begins_where_it_is_told_even_where_the_container_cannot_seek(clips: Path) -> None:
    path = clips / "open.mkv"
    (first, *_, last) = [one.piece for one in cut(survey(source_of(path)), Selection(), workers=8)]
    lost = Piece(last.begin, last.end, key_pts=-(10**9), key_dts=last.key_dts)
    (ours, _), (theirs, _) = pieces(path, [last, lost])
    assert ours == theirs
    assert first.begin is None


def test_keyframes_alone(clips: Path) -> None:
    path = clips / "closed.mp4"
    looked = survey(source_of(path))
    (only,) = cut(looked, Selection(keyframes=True), workers=4)
    ((shown, reader),) = pieces(path, [only.piece])
    assert [pts for pts, _ in shown] == looked.keys[:, 0].tolist()
    assert only.expected == len(shown) == reader.counted.packets
    assert set(shown) <= set(whole(path)[0])


def test_nothing_that_decodes_is_an_error_of_the_whole_alone(tmp_path: Path, clips: Path) -> None:
    path = tmp_path / "open.mkv"
    path.write_bytes((clips / "open.mkv").read_bytes()[:900])
    with pytest.raises(NoDecodableFrames):
        list(pieces(path, [Piece()]))
    assert next(pieces(path, [Piece(5000, 6000)]))[0] == []


def looked(frames: int, *, every_key: int = 25, step: int = 512, start_ns: int = 0) -> Survey:
    pts = np.arange(frames, dtype=np.int64) * step + 1024
    keys = np.stack([pts[::every_key], pts[::every_key] - 100], 1)
    return Survey(Fraction(1, 12_800), Fraction(25), start_ns, pts, keys, frames)


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("frames", [1, 24, 300, 5000])
def test_pieces_cover_all_of_it_once(frames: int, workers: int) -> None:
    of = looked(frames)
    cuts = cut(of, Selection(), workers=workers)
    for pts in of.pts.tolist():
        assert sum(one.piece.holds(pts) for one in cuts) == 1
    assert sum(one.expected for one in cuts) == frames
    assert all(one.piece.key_pts is None or one.piece.key_pts < (one.piece.begin or 0) for one in cuts)
    if frames == 5000:
        assert len(cuts) >= min(4 * workers, 5000 // 100)


def test_a_time_of_it(clips: Path) -> None:
    path = clips / "open.mp4"
    selection = Selection(begin=2.0, end=7.0)
    cuts = [one.piece for one in cut(survey(source_of(path)), selection, workers=4)]
    shown = [picture for part, _ in pieces(path, cuts) for picture in part]
    assert shown == whole(path)[0][50:175]
    assert cut(looked(100), Selection(begin=90.0), workers=1) == []


@pytest.mark.parametrize("selection", [Selection(every=7), Selection(fps=3.0), Selection()])
def test_the_same_frames_are_analysed_however_it_is_cut(selection: Selection) -> None:
    of = looked(1000, start_ns=1_795_689_015 * 10**9)
    step = of.time_base * 10**9
    first = int(Fraction(int(of.pts[0])) * step)
    uncut = chooser(selection, None, cut=False)
    wanted = [
        pts for i, pts in enumerate(of.pts.tolist()) if uncut(pts, i, of.start_ns + int(Fraction(pts) * step) - first)
    ]
    for workers in (1, 8):
        chosen = []
        for one in cut(of, selection, workers=workers):
            wants = chooser(selection, one.analysed, cut=True)
            chosen += [pts for pts in of.pts.tolist() if one.piece.holds(pts) and wants(pts, 0, 0)]
        assert chosen == wanted


def test_what_was_found_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    detections = Detections(
        boxes=rng.random((3, 4), dtype=np.float32),
        scores=rng.random(3, dtype=np.float32),
        labels=np.array([2, 0, 1], np.int32),
        raw_scores=rng.random(3, dtype=np.float32),
    )
    ids = rng.integers(0, 4, (9, 16)).astype(np.uint16)
    table = Segments(
        ids=np.array([1, 2, 3], np.int32),
        labels=np.array([2, 0, 5], np.int32),
        is_thing=np.array([True, True, False]),
        scores=rng.random(3, dtype=np.float32),
        areas=np.array([4, 5, 6], np.int32),
        boxes=rng.random((3, 4), dtype=np.float32),
        detection_index=np.array([0, 1, -1], np.int32),
        track_ids=np.full(3, -1, np.int64),
    )
    panoptic = PanopticMap(ids, table, Transform(2.0, 3.0, 1.0, 0.5))
    header, told = Header(("a",), ("b",), ("net", "1"), (1, 25), None, 7), Counted(2, 5, 1, 0, True, 9)
    records = [
        Record(5, (16, 9), (9, 16), State.ANALYSED, **found(detections, panoptic), batch_size=2, stage_ms={"x": 1.5}),
        Record(None, (16, 9), (9, 16), State.FAILED),
    ]
    many = records * 100
    writer = PieceWriter(tmp_path / "a.piece", header)
    for record in many:
        writer.add(record)
    assert not (tmp_path / "a.piece").exists()
    writer.finish(told)
    writer.abandon()
    back = PieceFile(tmp_path / "a.piece")
    read = list(back.records())
    assert (back.header, read, back.counted) == (header, many, told)
    first, second = read[:2]
    for name in ("boxes", "scores", "labels", "raw_scores"):
        np.testing.assert_array_equal(getattr(first.detections, name), getattr(detections, name))
    assert first.map is not None
    np.testing.assert_array_equal(first.map.ids, ids)
    assert first.map.transform == panoptic.transform
    for name in ("ids", "labels", "is_thing", "scores", "areas", "boxes", "detection_index"):
        np.testing.assert_array_equal(getattr(first.map.segments, name), getattr(table, name))
    assert (len(second.detections), second.map) == (0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.piece"]
    data = (tmp_path / "a.piece").read_bytes()
    (tmp_path / "a.piece").write_bytes(data[: len(data) // 2])
    with pytest.raises(SinkError, match=r"a\.piece: "):
        list(PieceFile(tmp_path / "a.piece").records())
