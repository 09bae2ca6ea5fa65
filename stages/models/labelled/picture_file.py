"""Reading pictures and label maps that others made: bounded, of the size their label says, errors with the path."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOST_PIXELS: Final = 1 << 26  # 67 million, 200 MB as RGB: more than cameras give, less than a bomb unpacks to
MOST_BYTES: Final = 1 << 28  # of one file
MOST_FILES: Final = 10_000_000

Size = tuple[int, int]  # width, height


def read_size(path: Path) -> Size:
    """Width and height from the file's head, as stored: a turned photograph's are not exchanged.

    Raises:
        DataError: for what is no picture, or too large a one.
    """
    from PIL import Image

    with _translated(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels: the limit here is our own
        with Image.open(path, formats=("JPEG", "PNG", "BMP", "WEBP")) as picture:
            return _bounded(path, picture.size)


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
    image = _decode(path, cv2.IMREAD_COLOR)
    if size is not None and image.shape[1::-1] != size:
        turned = image.shape[1::-1]
        image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image.shape[1::-1] != size:
            raise _other_size(path, turned, size)
    return np.ascontiguousarray(image[..., ::-1])


def read_label_map(path: Path, size: Size | None = None) -> NDArray[np.integer]:
    """[H, W] values of a grey or palette PNG (8 or 16 bits), or [H, W, 3] RGB of one in colour.

    Raises:
        DataError: when it cannot be read, or is of another size.
    """
    from PIL import Image

    with _translated(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=("PNG", "BMP")) as picture:
            found = _bounded(path, picture.size)
            if size is not None and found != size:
                raise _other_size(path, found, size)
            if picture.mode not in _MODES:
                raise DataError(f"{path}: pixels are {picture.mode}; {', '.join(_MODES)} can be labels")
            return np.asarray(picture.convert(_MODES[picture.mode]))


_MODES: Final = {"P": "P", "L": "L", "1": "L", "I;16": "I;16", "I": "I", "RGB": "RGB", "RGBA": "RGB"}


def list_files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files in a folder and all in it whose names end so, by name; hidden ones are left out.

    Raises:
        DataError: when there is no such folder, or too much in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found = []
    for path in folder.rglob("*"):
        if path.name.lower().endswith(endings) and not path.name.startswith("."):
            found.append(path)
            if len(found) > MOST_FILES:
                raise DataError(f"{folder}: more than {MOST_FILES} files; name a folder with fewer")
    return sorted(found)


def inside(folder: Path, name: str, *, labels: Path) -> Path:
    """The file that a label names, within the folder. Raises `DataError` for a name that leads out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0].startswith("/") or ".." in parts or "\0" in name:
        raise DataError(f"{labels}: {name!r} is no file name within {folder}")
    return folder.joinpath(*parts)


def check_present(paths: Iterable[Path], *, labels: Path, what: str = "pictures") -> None:
    """Refuse labels whose files are not there. Raises `DataError` with their number and the first few."""
    paths = list(paths)
    there = {folder: _names(folder) for folder in {path.parent for path in paths}}
    missing = [path for path in paths if path.name not in there[path.parent]]
    if missing:
        raise DataError(
            f"{labels}: {len(missing)} of {len(paths)} {what} are not there: {first_few(str(p) for p in missing)}"
        )


def first_few(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _decode(path: Path, mode: int) -> NDArray[np.uint8]:
    read_size(path)  # before a decoder makes room for it
    with _translated(path):
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes; at most {MOST_BYTES} are read of a picture")
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), mode)
    if image is None:
        raise DataError(f"{path}: cannot be decoded as a picture")
    return image.astype(np.uint8, copy=False)


def _bounded(path: Path, size: Size) -> Size:
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(f"{path}: {size[0]}x{size[1]} pixels; at most {MOST_PIXELS} are read")
    return size


def _other_size(path: Path, found: Size, size: Size) -> DataError:
    return DataError(f"{path}: is {found[0]}x{found[1]} pixels, its label says {size[0]}x{size[1]}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """What PIL, OpenCV and the system raise for a broken file, as `DataError`."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, cv2.error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc).splitlines()[0]
        raise DataError(f"{path}: cannot be read as a picture: {reason}") from exc
