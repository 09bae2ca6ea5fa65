"""Files that are no pictures, half pictures, or more picture than is read."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DataError
from stages.models.labelled.label_files import MOST_TEXT_BYTES, read_text
from stages.models.labelled.picture_file import MOST_PIXELS, read_label_map, read_picture, read_size
from tests.stages.models.labelled.making import grey, picture

ENDINGS = ("jpg", "png", "bmp", "webp")


@pytest.mark.parametrize("ending", ENDINGS)
def test_pictures_are_rgb(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"red.{ending}"
    Image.new("RGB", (20, 10), (250, 10, 20)).save(path)
    image = read_picture(path, (20, 10))
    assert image.shape == (10, 20, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - (250, 10, 20)).max() < 12
    assert read_size(path) == (20, 10)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_pixels_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (20, 10), (255, 255, 255)).convert(mode).save(path)
    assert read_picture(path).shape == (10, 20, 3)


def turned(path: Path) -> Path:
    """A photograph 40 x 30 as stored, shown 30 x 40."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(path, exif=exif.tobytes())


def test_a_turned_photograph_has_the_size_of_its_label(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.jpg")
    assert read_size(path) == (40, 30)
    assert read_size(path, shown=True) == (30, 40)
    assert read_picture(path).shape == (40, 30, 3)
    assert read_picture(path, (30, 40)).shape == (40, 30, 3)
    assert read_picture(path, (40, 30)).shape == (30, 40, 3)
    with pytest.raises(DataError, match=r"a\.jpg: is 30x40 pixels, its label says 41x30"):
        read_picture(path, (41, 30))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    path = picture(tmp_path / f"a.{ending}", width=200, height=100)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=rf"a\.{ending}: "):
        read_picture(path)


def test_a_thumbnail_inside_does_not_hide_that_a_photograph_is_cut_short(tmp_path: Path) -> None:
    small = picture(tmp_path / "small.jpg").read_bytes()
    data = picture(tmp_path / "a.jpg", width=200, height=100).read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    assert read_picture(tmp_path / "a.jpg").shape == (100, 200, 3)
    (tmp_path / "a.jpg").write_bytes((data[:2] + segment + data[2:])[:-300])
    with pytest.raises(DataError, match="ends before the picture does"):
        read_picture(tmp_path / "a.jpg")


def huge_png(path: Path) -> Path:
    """A head that promises 100000 x 100000 pixels."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_more_pixels_than_are_read_are_refused_before_decoding(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "bomb.png")
    for read in (read_size, read_picture, read_label_map):
        with pytest.raises(DataError, match=r"bomb\.png: "):
            read(path)
    wide = tmp_path / "wide.png"
    Image.new("1", (MOST_PIXELS // 1000 + 1, 1000)).save(wide)
    with pytest.raises(DataError, match=rf"at most {MOST_PIXELS} are read"):
        read_size(wide)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.jpg"
    text.write_text("<html>")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as a picture"):
        read_picture(text)
    with pytest.raises(DataError, match=r"no\.jpg: cannot be read: No such file"):
        read_picture(tmp_path / "no.jpg")
    with pytest.raises(DataError, match="is no file"):
        read_picture(tmp_path)


def test_label_maps_keep_their_values(tmp_path: Path) -> None:
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    assert np.array_equal(read_label_map(grey(tmp_path / "deep.png", deep)), deep)
    flat = (deep % 251).astype(np.uint8)
    palette = bytes(range(255, -1, -1)) * 3
    assert np.array_equal(read_label_map(grey(tmp_path / "p.png", flat, palette=palette)), flat)
    assert read_label_map(tmp_path / "p.png", colours=True).shape == (20, 30, 3)
    bits = tmp_path / "bits.png"
    Image.fromarray(flat > 100).save(bits)
    assert set(np.unique(read_label_map(bits))) == {0, 255}


@pytest.mark.parametrize("ending", ENDINGS)
def test_broken_bytes_give_pictures_or_data_errors(tmp_path: Path, ending: str) -> None:
    """Every byte may be wrong; nothing but `DataError` comes out."""
    path = picture(tmp_path / f"a.{ending}")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 200), 3):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            read_picture(path, (40, 30))
            read_label_map(path)
        except DataError as error:
            refused.append(str(error))
    assert refused
    assert all(text.startswith(f"{path}: ") for text in refused)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for read in (read_size, read_picture, read_label_map, read_text):
        with pytest.raises(DataError, match=r"a\.jpg: is no file"):
            read(tmp_path / "a.jpg")


def test_longer_files_than_are_read_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as sparse:
        sparse.truncate(MOST_TEXT_BYTES + 1)
    with pytest.raises(DataError, match=rf"a\.txt: {MOST_TEXT_BYTES + 1} bytes; at most {MOST_TEXT_BYTES} are read"):
        read_text(tmp_path / "a.txt")
