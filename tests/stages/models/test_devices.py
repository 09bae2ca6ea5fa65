"""Which device is chosen, and what is said of it: with fakes of `torch.cuda` and of the driver's files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config.gpus import gpu_names
from pipeline.errors import ConfigError
from stages.models import devices
from stages.models.devices import choose_device
from tests.gpu import cuda_device


class FakeCuda:
    def __init__(self, count: int) -> None:
        self.count = count

    def is_available(self) -> bool:
        return self.count > 0

    def device_count(self) -> int:
        return self.count

    def get_device_properties(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(name=f"Fake {device}", total_memory=80 << 30, major=9, minor=0)


@pytest.mark.parametrize(
    ("asked", "chosen"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_a_gpu_is_taken_where_there_is_one_unless_the_cpu_is_asked_for(asked: str, chosen: str) -> None:
    device = choose_device(asked, cuda=FakeCuda(2), built_for="13.0")
    assert device.name == chosen
    assert device.is_cuda == (chosen != "cpu")
    if device.is_cuda:
        assert device.note == f"device {asked}: {chosen}, Fake {chosen[-1]}, 80 GiB, compute 9.0, 2 found"


def test_auto_falls_back_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    none = FakeCuda(0)
    monkeypatch.setattr(devices, "gpu_names", list)
    assert choose_device("auto", cuda=none, built_for="13.0").note == "device auto: the CPU, no NVIDIA GPU was found"
    assert "built without CUDA" in choose_device("auto", cuda=none, built_for=None).note
    monkeypatch.setattr(devices, "gpu_names", lambda: ["NVIDIA H100"])
    assert "torch cannot use NVIDIA H100" in choose_device("auto", cuda=none, built_for="13.0").note


def test_a_device_asked_for_by_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'cuda' cannot be used, .*; 'cpu' or 'auto' is needed"):
        choose_device("cuda", cuda=FakeCuda(0), built_for=None)
    with pytest.raises(ConfigError, match="'cuda:2' is not there; found cuda:0, cuda:1"):
        choose_device("cuda:2", cuda=FakeCuda(2), built_for="13.0")


def test_gpus_are_told_from_the_files_of_their_driver(tmp_path: Path) -> None:
    driver, devices_folder = tmp_path / "gpus", tmp_path / "dev"
    assert gpu_names(driver, devices_folder) == []
    devices_folder.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (devices_folder / name).touch()
    assert gpu_names(driver, devices_folder) == ["an NVIDIA GPU"] * 2
    information = driver / "0000:19:00.0" / "information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 18\n")
    assert gpu_names(driver, devices_folder) == ["NVIDIA H100 80GB HBM3"]


@pytest.mark.gpu
def test_the_gpu_of_this_machine_is_found() -> None:
    assert choose_device("auto").name == cuda_device().name
