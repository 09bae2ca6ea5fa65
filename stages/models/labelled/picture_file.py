"""Reading pictures and label maps that others made: bounded, of the size their label says, errors with the path."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.labelled.label_files import check_file, read_bounded

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOST_PIXELS: Final = 1 << 26  # 67 million, 200 MB as RGB: more than cameras give, less than a bomb unpacks to
MOST_BYTES: Final = 1 << 28  # of one file

_ORIENTATION: Final = 0x0112  # EXIF's tag

Size = tuple[int, int]  # width, height


def read_size(path: Path, *, shown: bool = False) -> Size:
    """Width and height from the file's head.

    Args:
        path: the file.
        shown: as a turned photograph is shown; else as it is stored.

    Raises:
        DataError: for what is no picture, or too large a one.
    """
    from PIL import Image

    check_file(path)
    with _translated(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels: the limit here is our own
        with Image.open(path, formats=("JPEG", "PNG", "BMP", "WEBP")) as picture:
            width, height = _bounded(path, picture.size)
            on_its_side = shown and picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (height, width) if on_its_side else (width, height)


def check_size(path: Path, size: Size) -> None:
    """Refuse a picture whose head says another size than its label, either way up. Raises `DataError`."""
    found = read_size(path)
    if sorted(found) != sorted(size):
        raise _other_size(path, found, size)


def read_picture(path: Path, size: Size | None = None) -> NDArray[np.uint8]:
    """[H, W, 3] RGB, turned as the camera says; where only the unturned picture has the label's size, unturned.

    Args:
        path: the file.
        size: what the label says it is.

    Raises:
        DataError: when it cannot be read, or is of another size.
    """
    image = _decode(path, cv2.IMREAD_COLOR_RGB)
    if size is not None and image.shape[1::-1] != size:
        turned = image.shape[1::-1]
        image = _decode(path, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if image.shape[1::-1] != size:
            raise _other_size(path, turned, size)
    return image


def read_label_map(path: Path, size: Size | None = None, *, colours: bool = False) -> NDArray[np.integer]:
    """[H, W] values of a grey or palette PNG (8 or 16 bits), or [H, W, 3] RGB of one in colour.

    Args:
        path: the file.
        size: of the picture it labels.
        colours: whether a palette's colours are wanted, not its numbers.

    Raises:
        DataError: when it cannot be read, or is of another size.
    """
    from PIL import Image

    check_file(path)
    with _translated(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=("PNG", "BMP")) as picture:
            found = _bounded(path, picture.size)
            if size is not None and found != size:
                raise _other_size(path, found, size)
            if picture.mode not in _MODES:
                raise DataError(f"{path}: pixels are {picture.mode}; {', '.join(_MODES)} can be labels")
            mode = "RGB" if colours and picture.mode == "P" else _MODES[picture.mode]
            return np.asarray(picture.convert(mode))


_MODES: Final = {"P": "P", "L": "L", "1": "L", "I;16": "I;16", "I": "I", "RGB": "RGB", "RGBA": "RGB"}


def _decode(path: Path, mode: int) -> NDArray[np.uint8]:
    read_size(path)  # before a decoder makes room for it
    data = read_bounded(path, MOST_BYTES)
    if not _is_whole(data):
        raise DataError(f"{path}: ends before the picture does")
    with _translated(path):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    if image is None:
        raise DataError(f"{path}: cannot be decoded as a picture")
    return image.astype(np.uint8, copy=False)


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end: decoders fill in grey where it is missing. Of other kinds True."""
    if data.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" in data
    if not data.startswith(b"\xff\xd8"):
        return True
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # segments before the pixels
        padding = data[at + 1] == 0xFF
        at += 1 if padding else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) >= 0


def _bounded(path: Path, size: Size) -> Size:
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(f"{path}: {size[0]}x{size[1]} pixels; at most {MOST_PIXELS} are read")
    return size


def _other_size(path: Path, found: Size, size: Size) -> DataError:
    return DataError(f"{path}: is {found[0]}x{found[1]} pixels, its label says {size[0]}x{size[1]}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Whatever PIL, OpenCV and the system raise for a broken file, as `DataError`."""
    try:
        yield
    except DataError:
        raise
    except Exception as exc:  # decoders raise what a broken byte leads them into: struct.error, zlib.error, KeyError
        raise DataError(f"{path}: cannot be read as a picture: {exc or type(exc).__name__}") from exc
