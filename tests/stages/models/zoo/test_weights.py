"""Files of weights: what is read, and what is refused without being run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import ModelError
from stages.models.zoo.weights import Published, check_sha256, fill, load_state, published_file, sha256_of


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle in a file of weights was run",))


def test_both_kinds_of_file_give_the_same_tensors(tmp_path: Path) -> None:
    state = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    torch.save({"model": state, "epoch": 3}, tmp_path / "training.pth")
    for name in ("a.safetensors", "a.pth", "training.pth"):
        loaded = load_state(tmp_path / name)
        assert {key: value.tolist() for key, value in loaded.items()} == {k: v.tolist() for k, v in state.items()}


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize(
    "content", [b"not weights", pickle.dumps(Harmful()), b"\x80\x04", b"PK\x03\x04" + b"\x00" * 40]
)
def test_what_is_not_weights_is_refused_and_never_run(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"(not weights that can be read safely|not a safetensors file)"):
        load_state(tmp_path / name)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="no state_dict"):
        load_state(tmp_path / "list.pth")
    with pytest.raises(ModelError, match="no such model file"):
        load_state(tmp_path / "gone.pth")


def test_weights_of_another_network_are_refused_naming_a_tensor(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"x.pth: not weights of tiny: Missing key.*\"weight\""):
        fill(torch.nn.Linear(2, 2), {}, path=tmp_path / "x.pth", model="tiny")


def test_checksums(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    digest = sha256_of(path)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    check_sha256(digest, None, path=path)
    check_sha256(digest, "BA7816BF", path=path)
    with pytest.raises(ModelError, match="is wanted"):
        check_sha256(digest, "ba7816be", path=path)


def test_published_weights_are_fetched_once_and_checked(tmp_path: Path) -> None:
    origin = tmp_path / "origin" / "x-ba7816bf.pth"
    origin.parent.mkdir()
    origin.write_bytes(b"abc")
    published = Published(origin.as_uri(), "ba7816bf")
    folder = tmp_path / "cache"
    path = published_file(published, model="m", offline=False, folder=folder)
    assert path.read_bytes() == b"abc"
    origin.unlink()
    assert published_file(published, model="m", offline=False, folder=folder) == path
    path.unlink()
    with pytest.raises(ModelError, match=r"m: its weights could not be fetched .*; put file://"):
        published_file(published, model="m", offline=False, folder=folder)
