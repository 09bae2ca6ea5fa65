"""Loops compiled by numba: once, for stated types, kept on disk where there is somewhere to keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numba
from numba import types
from numba.core.typing.templates import Signature

Function = TypeVar("Function", bound=Callable[..., Any])


def read_only(dtype: str, dimensions: int, *, layout: Literal["C", "A"] = "C") -> types.Array:
    """The type of an array that a loop only reads, C-ordered or of any layout; writable ones fit too."""
    return types.Array(getattr(types, dtype), dimensions, layout, readonly=True)


def several(*members: types.Type) -> Any:
    """The type of a tuple that a loop gives back; called with the types of its arguments it is the signature."""
    return types.Tuple(members)  # type: ignore[no-untyped-call]


def compiled(signature: str | Signature) -> Callable[[Function], Function]:
    """A decorator that compiles a loop for `signature` when its module is imported, so that no frame ever waits for it.

    The loop releases the GIL and computes in the order written (no fast-math), so that results repeat. Helpers it calls
    must stand in the same file: numba's cache notices a change of the file, not of what the file imports.
    """

    def compile_(function: Function) -> Function:
        try:
            return _njit(signature, function, cache=True)
        except (RuntimeError, OSError):
            # No directory numba could write its cache to (a read-only install without a home), or a full one: the loop
            # is compiled anew in each process instead, some seconds at start and nothing later.
            return _njit(signature, function, cache=False)

    return compile_


def inlined(function: Function) -> Function:
    """A decorator for the small helpers of compiled loops: compiled into each loop that calls them."""
    return cast(Function, numba.njit(inline="always", error_model="numpy")(function))


def _njit(signature: str | Signature, function: Function, *, cache: bool) -> Function:
    return cast(Function, numba.njit(signature, cache=cache, nogil=True, fastmath=False, error_model="numpy")(function))
