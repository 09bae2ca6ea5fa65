"""Checkpoints: what goes in comes out, and what is none of ours is told apart by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import ModelError
from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import Nano, NanoConfig
from stages.models.training.checkpoint import read_checkpoint, write_checkpoint

TAXONOMY = Taxonomy(classes=Classes(("person", "car"), ("road",)), gathers={"road": ("street", "lane")})
TINY = NanoConfig(things=2, classes=3, widths=(8, 8, 8, 16, 16), depths=(1, 1, 1, 1), pyramid=8, mask_width=8)


def written(path: Path, config: NanoConfig = TINY) -> Nano:
    network = Nano(config)
    write_checkpoint(path, network, TAXONOMY, training="by hand")
    return network


def rewritten(path: Path, **changes: object) -> Path:
    """The same weights under a header in which something is another."""
    header = {
        "format": 1,
        "classes": {"things": ["person", "car"], "stuff": ["road"]},
        "network": asdict(TINY),
        **changes,
    }
    save_file(load_file(path), path, {"everyframe": json.dumps(header)})
    return path


@pytest.mark.parametrize("backbone", ["csp", "shufflenet"])
def test_a_checkpoint_reads_back(tmp_path: Path, backbone: str) -> None:
    config = NanoConfig(things=2, classes=3, backbone=backbone, widths=(8, 8, 8, 16, 16), pyramid=8, mask_width=8)  # type: ignore[arg-type]
    network = written(tmp_path / "nano.safetensors", config)
    again = read_checkpoint(tmp_path / "nano.safetensors")
    assert again.network.config == config
    assert again.taxonomy == TAXONOMY
    assert again.training == "by hand"
    pictures = torch.randint(0, 255, (1, 3, 64, 64)).float()
    with torch.no_grad():
        assert torch.equal(again.network(pictures).boxes, network.eval()(pictures).boxes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format 2"),
        ({"classes": {"things": ["person"], "stuff": ["road"]}}, "1 things of 2 classes"),
        ({"classes": {"things": ["car", "car2"], "stuff": ["road"], "gathers": {"sky": ["x"]}}}, "'sky'"),
        ({"network": {"breadth": 3}}, "network.breadth is unknown"),
        ({"network": {"things": "many"}}, "many|str"),
        ({"network": {"things": 2, "classes": 3}}, "weights .* of (shape|another network)"),
    ],
)
def test_a_header_that_is_not_one_of_ours(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    written(tmp_path / "nano.safetensors")
    with pytest.raises(ModelError, match=told):
        read_checkpoint(rewritten(tmp_path / "nano.safetensors", **changes))


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"text\.safetensors: cannot be read"):
        read_checkpoint(tmp_path / "text.safetensors")
    with pytest.raises(ModelError, match="has no 'everyframe'"):
        read_checkpoint(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(tmp_path / "missing.safetensors")


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nano.safetensors"
    written(path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        written(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
