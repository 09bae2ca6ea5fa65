"""Named tensors in one safetensors file, and what they are in a JSON entry of its header: nothing in it is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.errors import ModelError
from stages.models.whole_file import write_whole

_LARGEST_HEADER = 1 << 20


class Header(msgspec.Struct, frozen=True):
    """What every entry says."""

    format: int


_Header = TypeVar("_Header", bound=Header)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], entry: str, header: Header) -> None:
    """Write them, whole or not at all.

    Raises:
        OSError: when the file cannot be written; what was there before is still there.
    """
    # What is shared in memory must not be shared in the file.
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_whole(path, save(own, {entry: msgspec.json.encode(header).decode()}))


def read_tensors(
    path: Path, entry: str, header: type[_Header], *, reads: int, what: str
) -> tuple[_Header, dict[str, Tensor]]:
    """What the entry says, and the tensors.

    Args:
        path: the file.
        entry: name of the entry.
        header: what it is to be.
        reads: the format that is understood.
        what: the file is, for messages.

    Raises:
        ModelError: naming the file and what it lacks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(entry)
            if text is None:
                raise ModelError(f"{path}: cannot be read as {what}: its header has no {entry!r}")
            if len(text) > _LARGEST_HEADER:
                raise ModelError(f"{path}: a header of {len(text)} bytes; at most {_LARGEST_HEADER}")
            said = msgspec.json.decode(text, type=header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (SafetensorError, OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{path}: cannot be read as {what}: {exc}") from exc
    if said.format != reads:
        raise ModelError(f"{path}: is {what} of format {said.format}; this version reads {reads}")
    return said, tensors
