"""Which providers run an ONNX graph, with what options, and what is said of what is missing: with fakes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ConfigError, ModelError
from stages.models import devices, execution_providers, onnx_placement
from stages.models.devices import Device
from stages.models.execution_providers import (
    CPU,
    CUDA,
    TENSORRT,
    Chosen,
    ProviderMissing,
    choose_providers,
    engine_folder,
    settled,
)
from stages.models.onnx_placement import Placed, place

FULL = (TENSORRT, CUDA, CPU)
SECOND = Device("cuda:1", "")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def chosen(
    asked: Any = "auto", *, available: tuple[str, ...] = FULL, precision: Any = "auto", sha: str = "ab" * 32
) -> Chosen:
    return choose_providers(
        asked,
        device=SECOND,
        precision=precision,
        stream=4711,
        available=available,
        version="1.99",
        model_sha256=sha,
    )


def test_cuda_is_what_auto_means_on_the_device_and_stream_that_were_given() -> None:
    got = chosen()
    (cuda, options), (cpu, _) = got.providers
    assert (cuda, cpu, got.note, got.first_start) == (CUDA, CPU, "CUDA provider", "")
    assert options == {"device_id": "1", "user_compute_stream": "4711", "use_tf32": "1"}
    assert chosen(precision="f32").providers[0][1]["use_tf32"] == "0"


def test_tensorrt_keeps_its_engines_by_the_model_and_says_that_the_first_start_builds(cache: Path) -> None:
    got = chosen("tensorrt", precision="fp16")
    assert [name for name, _ in got.providers] == [TENSORRT, CUDA, CPU]
    options = got.providers[0][1]
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_relative_to(cache / "everyframe" / "tensorrt")
    assert folder.is_dir()
    assert options["trt_fp16_enable"] == options["trt_engine_cache_enable"] == "1"
    assert options["user_compute_stream"] == got.providers[1][1]["user_compute_stream"] == "4711"
    assert "may take minutes" in got.first_start
    assert str(folder) in got.first_start
    (folder / "graph_sm90.engine").touch()
    assert chosen("tensorrt", precision="fp16").first_start == ""
    assert chosen("tensorrt").providers[0][1]["trt_fp16_enable"] == "0"


def test_engines_of_other_models_precisions_versions_and_sizes_lie_elsewhere() -> None:
    folders = {
        engine_folder("ab" * 32, version="1", precision="f32"),
        engine_folder("cd" * 32, version="1", precision="f32"),
        engine_folder("ab" * 32, version="1", precision="fp16"),
        engine_folder("ab" * 32, version="2", precision="f32"),
        engine_folder("ab" * 32, version="1", precision="f32", picture=(320, 544)),
        engine_folder("ab" * 32, version="1", precision="f32", picture=(416, 416)),
    }
    assert len(folders) == 6
    assert None not in folders


def test_without_a_cache_each_start_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    got = chosen("tensorrt")
    assert "trt_engine_cache_path" not in got.providers[0][1]
    assert "at each start" in got.first_start


def test_what_is_missing_is_named() -> None:
    assert [name for name, _ in chosen("tensorrt", available=(CUDA, CPU)).providers] == [CUDA, CPU]
    assert "no TensorRT in onnxruntime 1.99, which has CUDAExec" in chosen("tensorrt", available=(CUDA, CPU)).note
    with pytest.raises(ProviderMissing, match=r"cuda:1: .*without CUDA \(it has CPUExec.*pip install onnxruntime-gpu"):
        chosen(available=(CPU,))


def test_a_provider_whose_libraries_are_missing_is_told_of() -> None:
    got = settled(chosen("tensorrt"), [CUDA, CPU], device=SECOND, version="1.99")
    assert [name for name, _ in got.providers] == [CUDA, CPU]
    assert "libnvinfer" in got.note
    assert got.first_start == ""
    assert settled(chosen(), [CUDA, CPU], device=SECOND, version="1.99") == chosen()
    with pytest.raises(ProviderMissing, match=r"cuda:1: the CUDA provider of onnxruntime 1\.99 does not load"):
        settled(chosen(), [CPU], device=SECOND, version="1.99")


@pytest.mark.parametrize(
    ("asked", "precision", "available", "match"),
    [
        ("auto", "fp16", FULL, "'fp16' is not available on onnxruntime's CUDA provider"),
        ("tensorrt", "bf16", FULL, "'bf16' is not available"),
        ("tensorrt", "fp16", (CUDA, CPU), "'fp16' needs TensorRT, which this onnxruntime does not have"),
    ],
)
def test_a_precision_that_is_not_to_be_had_is_refused(asked: Any, precision: Any, available: Any, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        chosen(asked, precision=precision, available=available)


class FakeCuda:
    def __init__(self, count: int) -> None:
        self.count = count

    def is_available(self) -> bool:
        return self.count > 0

    def device_count(self) -> int:
        return self.count

    def get_device_properties(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(name=f"Fake {device}", total_memory=80 << 30, major=9, minor=0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a machine: its GPUs by the driver, and the providers of its ONNX Runtime."""

    def make(names: list[str], available: tuple[str, ...] | None) -> None:
        monkeypatch.setattr(onnx_placement, "gpu_names", lambda: names)
        monkeypatch.setattr(devices, "gpu_names", lambda: names)

        def runtime() -> Any:
            if available is None:
                raise ModelError("not installed")
            return SimpleNamespace(get_available_providers=lambda: list(available), __version__="1.99")

        monkeypatch.setattr(onnx_placement, "runtime", runtime)

    return make


def test_auto_takes_a_gpu_where_all_is_there(machine: Any) -> None:
    machine(["NVIDIA H100"], FULL)
    got = place("auto", may_use_gpu=True, largest=8, cuda=FakeCuda(2))
    assert (got.device.name, got.may_fall_back, got.largest) == ("cuda:0", True, 8)
    assert "cuda:0, Fake 0" in got.note
    assert place("cuda:1", may_use_gpu=True, cuda=FakeCuda(2)).device.name == "cuda:1"
    assert not place("cuda:1", may_use_gpu=True, cuda=FakeCuda(2)).may_fall_back


def test_auto_falls_back_and_says_why(machine: Any) -> None:
    machine([], FULL)
    assert place("auto", may_use_gpu=True) == Placed()
    machine(["NVIDIA H100"], FULL)
    assert place("cpu", may_use_gpu=True) == Placed()
    assert "NVIDIA H100 is for other models" in place("auto", may_use_gpu=False).note
    assert "torch cannot use NVIDIA H100" in place("auto", may_use_gpu=True, cuda=FakeCuda(0)).note
    machine(["NVIDIA H100"], (CPU,))
    got = place("auto", may_use_gpu=True, cuda=FakeCuda(1))
    assert not got.device.is_cuda
    assert got.note.startswith("device auto: the CPU; for NVIDIA H100 onnxruntime 1.99 is a build without CUDA")
    machine(["NVIDIA H100"], None)
    assert "pip install onnxruntime-gpu" in place("auto", may_use_gpu=True, cuda=FakeCuda(1)).note


def test_what_was_asked_for_by_name_and_is_not_there_is_an_error(machine: Any) -> None:
    machine(["NVIDIA H100"], (CPU,))
    with pytest.raises(ModelError, match=r"device: 'cuda' cannot be used, onnxruntime 1.99 .*onnxruntime-gpu"):
        place("cuda", may_use_gpu=True, cuda=FakeCuda(1))
    machine([], FULL)
    with pytest.raises(ConfigError, match="'cuda:3' is not there; found cuda:0"):
        place("cuda:3", may_use_gpu=True, cuda=FakeCuda(1))


def test_libraries_are_loaded_in_silence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = SimpleNamespace(preload_dlls=lambda: print("Failed to load libcudnn"))
    monkeypatch.setattr(execution_providers, "runtime", lambda: fake)
    execution_providers.load_libraries()
    monkeypatch.setattr(execution_providers, "runtime", SimpleNamespace)
    execution_providers.load_libraries()
    assert capsys.readouterr().out == ""
