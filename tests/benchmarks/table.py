"""Rows of a comparison: printed as a table, written as JSON with the machine they were measured on.

A row is ``{"name", "ours", "theirs", "ratio", "unit", "target"}``; `ratio` is how many times better ours is, and
`target` the least it should be (None: shown for information). With `group` and `bars` (value by name) it is drawn too:
see `bars`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
PACKAGES = ("numpy", "numba", "openvino", "onnxruntime", "opencv-python-headless", "av", "torch", "trackers")
TRANSPORTS = ("pyzmq", "redis", "msgspec")  # and what it takes to code


def show(title: str, rows: Iterable[Row]) -> None:
    """Print rows as a table; a ratio below its target is marked."""
    table = Table(title=title, title_justify="left")
    for column, justify in (("what", "left"), ("ours", "right"), ("theirs", "right"), ("unit", "left")):
        table.add_column(column, justify="left" if justify == "left" else "right")
    table.add_column("ratio", justify="right")
    table.add_column("target", justify="right")
    for row in rows:
        ratio, target = row.get("ratio"), row.get("target")
        short = ratio is not None and target is not None and ratio < target
        table.add_row(
            row["name"],
            _number(row.get("ours")),
            _number(row.get("theirs")),
            str(row.get("unit", "")),
            f"[red]{ratio:.2f}×[/red]" if short else ("" if ratio is None else f"{ratio:.2f}×"),
            "" if target is None else f"≥ {target:g}×",
        )
    Console(width=140).print(table)


def write(path: Path, sections: dict[str, list[Row]]) -> None:
    """Write all rows with the machine and the versions they were measured with."""
    document = {"measured": datetime.date.today().isoformat(), "machine": machine(), "sections": sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def machine() -> dict[str, Any]:
    """What ratios depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(load, 1) for load in os.getloadavg()],  # of 1, 5, 15 minutes, at the end; this included
        "system": f"{platform.system()} {platform.machine()}",
        "gpu": _gpu(),
        "python": platform.python_version(),
        "redis-server": _redis_server(),
        "packages": {name: found for name in (*PACKAGES, *TRANSPORTS) if (found := _version(name))},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def _redis_server() -> str | None:
    """Its version, where it is installed."""
    if shutil.which("redis-server") is None:
        return None
    told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    return next((word.removeprefix("v=") for word in told.split() if word.startswith("v=")), told.strip())


def _gpu() -> str | None:
    """The name of the GPU, where one was measured."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
