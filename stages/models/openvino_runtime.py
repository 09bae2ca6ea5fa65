"""OpenVINO, imported without its telemetry. Import it from here, never directly.

With `openvino-telemetry` installed, which pip does, ``import openvino`` forks a process that reports to an analytics
service (openvino 2026.4, `openvino/tools/ovc/telemetry_utils.py`). Its converter tools fall back to a stub where that
package cannot be imported; here it cannot, for as long as the import takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pipeline.errors import ModelError

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """While it lasts, imports find no telemetry to report with."""
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # None is how an import is made to fail
    try:
        yield
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


with without_telemetry():
    import openvino as ov
    from openvino import opset13 as opset
    from openvino.preprocess import PrePostProcessor

__all__ = ["PrePostProcessor", "core", "native_bf16", "opset", "ov", "save_ir", "without_telemetry"]


@cache
def core() -> ov.Core:
    """The one core of this process."""
    return ov.Core()


def native_bf16() -> bool:
    """Whether the processor multiplies bf16 itself (AVX-512 BF16 or AMX), rather than emulating it."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def save_ir(model: ov.Model, path: Path) -> None:
    """Write a model as .xml and .bin, its weights as they are. Raises `ModelError` where it cannot be written."""
    try:
        ov.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as exc:
        told = str(exc).strip().splitlines()[-1]
        raise ModelError(f"{path.name}: cannot be written; is the disk full? ({told})") from exc
