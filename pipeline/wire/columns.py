"""Columns of a struct-of-arrays as raw little-endian bytes, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import WireError


def pack_column(values: npt.NDArray[Any], dtype: str) -> memoryview:
    """The column's bytes, C order."""
    return memoryview(np.ascontiguousarray(values, dtype=dtype).tobytes())


def unpack_column(name: str, data: memoryview, dtype: str, count: int, columns: int = 1) -> npt.NDArray[Any]:
    """`count` rows of `columns` numbers, [count] or [count, columns], in memory of their own.

    Raises `WireError` unless `data` is exactly that long, before anything is allocated.
    """
    width = np.dtype(dtype).itemsize * columns
    if len(data) != count * width:
        raise WireError(f"{name}: {len(data)} bytes for {count} rows of {width}; {count * width} are needed")
    values = np.frombuffer(data, dtype=dtype).astype(dtype[1:], copy=True)
    return values if columns == 1 else values.reshape(count, columns)


def check_range(name: str, values: npt.NDArray[Any], low: int, high: int) -> None:
    """Raises `WireError` unless every value lies in `low`..`high`, both included."""
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise WireError(f"{name}: values {values.min()}..{values.max()}; {low}..{high} are allowed")
