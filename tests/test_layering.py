"""Imports point down only, and what must be cheap to import is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUND_FLOOR = {"pipeline.errors", "pipeline.states", "pipeline.messages", "pipeline.stage", "pipeline.config"}
HEAVY = ("av", "torch", "torchvision", "openvino", "onnxruntime", "cv2", "zmq", "numba", "scipy", "redis", "typer")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        yield from modules_of(node, path)


def modules_of(node: ast.AST, path: Path) -> Iterator[str]:
    """The modules an import statement names: in `from package import module`, the module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: relative imports hide the direction of an import"
        for alias in node.names:
            submodule = ROOT / Path(*f"{node.module}.{alias.name}".split("."))
            is_module = submodule.with_suffix(".py").exists() or submodule.is_dir()
            yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def allowed_of_pipeline(module: str) -> set[str]:
    brokers = {"pipeline.wire", "pipeline.redis_connection"}
    if module.startswith("stages.exports"):  # what is made of results that lie in files
        return GROUND_FLOOR | {"pipeline.wire"}
    return GROUND_FLOOR | (brokers if module.startswith("stages.publish") else set())


@pytest.mark.parametrize("path", modules("stages"), ids=dotted)
def test_stages_import_only_the_ground_floor_of_the_runtime(path: Path) -> None:
    allowed = allowed_of_pipeline(dotted(path))
    reached = {name for name in imported(path) if name.split(".")[0] == "pipeline"}
    outside = {name for name in reached if not within(name, allowed)}
    assert not outside, f"{dotted(path)} imports {sorted(outside)}; stages may import {sorted(allowed)}"


@pytest.mark.parametrize("path", modules("pipeline"), ids=dotted)
def test_only_two_files_join_the_packages(path: Path) -> None:
    reached = {name for name in imported(path) if name.split(".")[0] == "stages"}
    assert dotted(path) in ("pipeline.build", "pipeline.workshop") or not reached, (
        f"{dotted(path)} imports {sorted(reached)}"
    )


# What a file may import inside its functions only: methods for a reader's convenience, which load what they need.
DOORS = {"pipeline.messages.results": {"pipeline.convert"}}


def test_the_ground_floor_stands_on_nothing_else_of_the_runtime() -> None:
    foundation = GROUND_FLOOR | {
        "pipeline.address",
        "pipeline.bind",
        "pipeline.event_address",
        "pipeline.files_root",
        "pipeline.redis_address",
    }
    for path in modules("pipeline"):
        if not within(dotted(path), foundation):
            continue
        outside = {n for n in imported(path) if n.startswith("pipeline") and not within(n, foundation)}
        outside -= DOORS.get(dotted(path), set()) - top_level(path)
        assert not outside, f"{dotted(path)} imports {sorted(outside)}"


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_there_is_no_import_cycle() -> None:
    edges = {dotted(p): set() for package in ("pipeline", "stages") for p in modules(package)}
    for package in ("pipeline", "stages"):
        for path in modules(package):
            edges[dotted(path)] = top_level(path) & set(edges) - {dotted(path)}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join([*trail, module])}"
        if module not in done:
            for other in edges[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def top_level(path: Path) -> set[str]:
    """What a file imports when it is imported itself: not inside functions, not for type checking only."""
    return {name for node in ast.parse(path.read_text()).body for name in modules_of(node, path)}


@pytest.mark.parametrize("module", ["pipeline", "stages", "pipeline.cli", "pipeline.config", "pipeline.messages"])
def test_importing_the_packages_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == ""


def test_the_camera_worker_loads_no_network() -> None:
    script = "import sys, pipeline.build, stages.decode; print(*(m for m in ('torch', 'openvino') if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == ""
