"""Array types, and the struct-of-arrays that collections of objects are."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]


class StructOfArrays:
    """Arrays of equal length, one row an object: indexing with a mask, a slice or indices gives the same type.

    The first column is always there; a later one may be None.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # what `fields` makes a tuple of anew in each call

    def _columns(self) -> dict[str, npt.NDArray[Any] | None]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def _check_rows(self, **trailing: tuple[int, ...] | None) -> None:
        """Every column has as many rows as the first and the trailing shape given for it (None: any)."""
        rows: int | None = None
        for name, tail in trailing.items():
            column = getattr(self, name)
            if column is None:
                continue
            rows = len(column) if rows is None else rows
            if len(column) != rows or (tail is not None and column.shape[1:] != tail):
                wanted = f"[{rows}{''.join(f', {n}' for n in tail or ())}]"
                raise ValueError(f"{type(self).__name__}.{name} has shape {list(column.shape)}; {wanted} is needed")

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self.__dataclass_fields__))))

    def __getitem__(self, rows: npt.NDArray[Any] | slice) -> Self:
        picked = {k: None if column is None else column[rows] for k, column in self._columns().items()}
        return type(self)(**picked)

    def __repr__(self) -> str:
        columns = (f"{k}={list(c.shape)}" for k, c in self._columns().items() if c is not None)
        return f"{type(self).__name__}({', '.join(columns)})"
