"""INT8 networks: near the original, used like it, and what is said where they cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.models.backend import Normalisation, checksum, load_backend, open_network
from stages.models.quantize import quantize
from tests import networks

NORMALISE = Normalisation(mean=(100.0, 110.0, 120.0), deviation=(50.0, 60.0, 70.0))


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 1, 8, 12, 3), dtype=np.uint8))


@pytest.mark.slow
def test_an_int8_network_is_near_the_original_and_used_like_it(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    path = networks.channel_means(tmp_path / "m.onnx")
    made = quantize(path, pictures(40), output=tmp_path / "int8.xml", normalise=NORMALISE)
    assert [port.shape for port in open_network(made).signature.outputs] == [(1, 3)]
    kinds = [node.get_type_name() for node in open_network(made)._model.get_ops()]  # type: ignore[attr-defined]
    assert "FakeQuantize" in kinds
    for picture in pictures(5):
        original = load_backend(path, precision="f32", normalise=NORMALISE)(picture)
        (left,) = original.values()
        (right,) = load_backend(made, normalise=NORMALISE)(picture).values()
        assert right == pytest.approx(left, abs=0.05)


def test_a_version_covers_the_weights_beside_an_xml(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text("<net/>")
    (tmp_path / "m.bin").write_bytes(b"weights")
    before = checksum(tmp_path / "m.xml")
    (tmp_path / "m.bin").write_bytes(b"others!")
    assert checksum(tmp_path / "m.xml") != before


def test_without_pictures_nothing_is_made(tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="cannot be quantized without pictures"):
        quantize(path, [], output=tmp_path / "int8.xml")


def test_a_missing_nncf_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    path = networks.channel_means(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"pip install 'everyframe\[int8\]'"):
        quantize(path, pictures(1), output=tmp_path / "int8.xml")
