"""Backends: what goes in, what comes out, side by side, and what is said of files that are no networks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.models import backend as backends
from stages.models.backend import Normalisation, load_backend, open_network
from tests import networks

Kind = Literal["openvino", "onnxruntime"]
KINDS: tuple[Kind, ...] = ("openvino", "onnxruntime")
IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other test's network counts as running, and the cache is this test's own."""
    monkeypatch.setattr(backends, "_running", WeakSet())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime")
    return request.param  # type: ignore[no-any-return]


def pictures(count: int, *, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 8, 12, 3)).astype(dtype)


def test_a_call_gives_outputs_by_name(kind: Kind, tmp_path: Path) -> None:
    with_means = load_backend(networks.channel_means(tmp_path / "m.onnx"), kind=kind, precision="f32")
    assert (with_means.input_name, with_means.input_shape, with_means.outputs) == (
        "in",
        (1, 3, 8, 12),
        {"means": (1, 3)},
    )
    given = pictures(1, dtype=np.float32).transpose(0, 3, 1, 2)
    got = with_means(np.ascontiguousarray(given))
    assert list(got) == ["means"]
    assert got["means"] == pytest.approx(given.mean(axis=(2, 3)), rel=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalisation_is_inside(kind: Kind, channels_last: bool, tmp_path: Path) -> None:
    shape = (1, 8, 12, 3) if channels_last else (1, 3, 8, 12)
    path = networks.channel_means(tmp_path / "m.onnx", picture=shape, channels_last=channels_last)
    network = load_backend(path, kind=kind, precision="f32", normalise=IMAGENET)
    assert network.input_shape == (1, 8, 12, 3)
    given = pictures(1)
    expected = (given.mean(axis=(1, 2)) - IMAGENET.mean) / IMAGENET.deviation
    assert network(given)["means"] == pytest.approx(expected, abs=1e-4)


def test_many_pictures_are_each_as_if_alone(kind: Kind, tmp_path: Path) -> None:
    network = load_backend(networks.channel_means(tmp_path / "m.onnx"), kind=kind, normalise=Normalisation())
    given = pictures(5)
    alone = np.concatenate([network(given[i : i + 1])["means"] for i in range(5)])
    assert np.array_equal(network(given)["means"], alone)
    assert network(given[:0])["means"].shape == (0, 3)


def test_an_open_batch_runs_one_by_one(kind: Kind, tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx", picture=("n", 3, 8, 12))
    network = load_backend(path, kind=kind, precision="f32", normalise=Normalisation())
    assert network(pictures(3))["means"] == pytest.approx(pictures(3).mean(axis=(1, 2)), rel=1e-5)


def test_what_a_call_gives_may_be_kept(kind: Kind, tmp_path: Path) -> None:
    network = load_backend(networks.channel_means(tmp_path / "m.onnx"), kind=kind, normalise=Normalisation())
    first = network(pictures(1))["means"]
    before = first.copy()
    network(np.zeros((1, 8, 12, 3), dtype=np.uint8))
    assert np.array_equal(first, before)


def test_maps_come_planar_where_asked(kind: Kind, tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    path = networks.constant(tmp_path / "s.onnx", picture=(1, 8, 12, 3), outputs=[scores])
    network = open_network(path, kind=kind).compile(planar=(0,), precision="f32")
    (shape,) = network.outputs.values()
    (got,) = network(np.zeros((1, 8, 12, 3), dtype=np.float32)).values()
    assert shape == got.shape == (1, 5, 4, 6)
    assert np.array_equal(got, scores.transpose(0, 3, 1, 2))


def test_lanes_side_by_side_give_the_bytes_of_one(kind: Kind, shared_data: Path) -> None:
    path = shared_data / "weights" / "fastestdet_352.onnx"
    given = np.random.default_rng(0).integers(0, 256, (12, 352, 352, 3), dtype=np.uint8)
    one = load_backend(path, kind=kind, threads=1, normalise=Normalisation(deviation=(255.0,) * 3))
    alone = [one(given[i : i + 1]) for i in range(len(given))]
    one.close()
    two = load_backend(path, kind=kind, lanes=2, normalise=Normalisation(deviation=(255.0,) * 3))
    with ThreadPoolExecutor(2) as lanes:
        together = list(lanes.map(lambda i: two(given[i : i + 1]), range(len(given))))
    for left, right in zip(alone, together, strict=True):
        assert all(np.array_equal(left[name], right[name]) for name in left)


def test_both_runtimes_agree(shared_data: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = shared_data / "weights" / "yolox_nano_416.onnx"
    given = np.random.default_rng(0).integers(0, 256, (1, 416, 416, 3), dtype=np.uint8)
    got = []
    for kind in KINDS:
        network = load_backend(path, kind=kind, precision="f32", threads=1, normalise=Normalisation())
        got.append(network(given))
        network.close()
    (left,), (right,) = (list(each.values()) for each in got)
    assert np.abs(left - right).max() < 1e-2


def test_a_second_runtime_in_one_process_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = networks.channel_means(tmp_path / "m.onnx")
    first = load_backend(path, kind="openvino")
    with pytest.raises(ModelError, match="cannot run on onnxruntime while openvino runs another network"):
        load_backend(path, kind="onnxruntime")
    first.close()
    load_backend(path, kind="onnxruntime").close()


def test_closed_networks_say_so(kind: Kind, tmp_path: Path) -> None:
    network = load_backend(networks.channel_means(tmp_path / "m.onnx"), kind=kind, normalise=Normalisation())
    network(pictures(1))
    network.close()
    network.close()
    with pytest.raises(ModelError, match="was closed"):
        network(pictures(1))


def test_a_picture_of_another_shape_is_refused(kind: Kind, tmp_path: Path) -> None:
    network = load_backend(networks.channel_means(tmp_path / "m.onnx"), kind=kind, normalise=Normalisation())
    with pytest.raises(ModelError, match=r"shape \[1, 8, 13, 3\]; the network takes \[N, 8, 12, 3\]"):
        network(np.zeros((1, 8, 13, 3), dtype=np.uint8))


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_size_left_open_is_the_one_asked_for(kind: Kind, channels_last: bool, tmp_path: Path) -> None:
    shape = ("n", "h", "w", 3) if channels_last else ("n", 3, "h", "w")
    path = networks.channel_means(tmp_path / "m.onnx", picture=shape, channels_last=channels_last)
    assert open_network(path, kind=kind).signature.is_open
    network = open_network(path, kind=kind, size=(12, 8))
    assert (network.signature.is_open, network.signature.input_size) == (False, (8, 12))
    assert network.signature.outputs[0].shape[1:] == (3,)
    backend = network.compile(normalise=Normalisation(), precision="f32")
    assert backend.input_shape[1:] == (8, 12, 3)
    given = pictures(2)
    np.testing.assert_allclose(backend(given)["means"], given.mean(axis=(1, 2)), atol=1e-3)
    with pytest.raises(ModelError, match=r"the network takes \[N, 8, 12, 3\]"):
        backend(np.zeros((1, 12, 8, 3), np.uint8))


def test_one_name_for_both_sides_is_no_square(kind: Kind, tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx", picture=("s", "c", "s", "s"))
    network = load_backend(path, kind=kind, size=(12, 8), normalise=Normalisation(), precision="f32")
    given = pictures(1)
    np.testing.assert_allclose(network(given)["means"], given.mean(axis=(1, 2)), atol=1e-3)


def test_a_size_that_is_fixed_cannot_be_another(kind: Kind, tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx")
    assert open_network(path, kind=kind, size=(12, 8)).signature.input_size == (8, 12)
    with pytest.raises(ModelError, match=r"m\.onnx: the network takes pictures of 12x8 and none of 8x12; leave out"):
        open_network(path, kind=kind, size=(8, 12))
    half = networks.channel_means(tmp_path / "half.onnx", picture=(1, 3, 8, "w"))
    assert open_network(half, kind=kind, size=(20, 8)).signature.input_size == (8, 20)
    with pytest.raises(ModelError, match="takes pictures of anyx8 and none of 8x12"):
        open_network(half, kind=kind, size=(8, 12))


def test_a_missing_file_is_named(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx: no such model file"):
        load_backend(tmp_path / "nowhere.onnx", kind=kind)


def test_a_folder_is_no_model(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a file"):
        load_backend(tmp_path, kind=kind)


@pytest.mark.parametrize("content", [b"not a network\n", b"\x00" * 1000, b"\x08\x07\x12\x07pytorch"])
def test_what_is_no_network_is_one_clear_line(kind: Kind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not an ONNX model that can be read") as caught:
        load_backend(path, kind=kind)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_that_is_no_text_is_one_clear_line(tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "name.onnx")
    path.write_bytes(path.read_bytes().replace(b"weight", b"w\xffight", 1))
    with pytest.raises(ModelError, match="not an ONNX model that can be read"):
        load_backend(path, kind="openvino")


def test_an_empty_file_is_no_network(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(ModelError, match="is empty"):
        load_backend(path, kind=kind)


def test_a_cut_off_network_is_refused(kind: Kind, tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "half.onnx"
    whole = (shared_data / "weights" / "yolox_nano_416.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="not an ONNX model that can be read"):
        load_backend(path, kind=kind)


def test_an_unknown_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one of auto, openvino, onnxruntime"):
        load_backend(networks.channel_means(tmp_path / "m.onnx"), kind="tensorflow")  # type: ignore[arg-type]


def test_bf16_on_onnxruntime_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match="'bf16' is not available on onnxruntime"):
        load_backend(networks.channel_means(tmp_path / "m.onnx"), kind="onnxruntime", precision="bf16")


def test_onnxruntime_that_is_not_installed_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="not installed; pip install onnxruntime"):
        load_backend(networks.channel_means(tmp_path / "m.onnx"), kind="onnxruntime")


def test_the_note_says_what_auto_chose(tmp_path: Path) -> None:
    from stages.models.openvino_runtime import native_bf16

    path = networks.channel_means(tmp_path / "m.onnx")
    chosen = "bf16 (auto: the processor has it)" if native_bf16() else "f32 (auto: no bf16 in the processor)"
    assert load_backend(path).note == f"OpenVINO {chosen}"
    assert load_backend(path, precision="f32").note == "OpenVINO f32"


def test_a_compiled_network_is_kept_for_the_next_start(tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx")
    load_backend(path)
    kept = list((tmp_path / "cache" / "everyframe" / "openvino").iterdir())
    assert kept
    for file in kept:  # one that is damaged is compiled anew
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:50])
    network = load_backend(path, normalise=Normalisation())
    assert network(pictures(1))["means"] == pytest.approx(pictures(1).mean(axis=(1, 2)), rel=0.01)


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    network = load_backend(networks.channel_means(tmp_path / "m.onnx"), normalise=Normalisation())
    assert network(pictures(2))["means"].shape == (2, 3)


def test_importing_openvino_reports_to_nobody() -> None:
    script = (
        "import sys, socket\n"
        "def refuse(*args, **kwargs): raise SystemExit('a connection was opened')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        "import os; os.fork = refuse\n"
        "from stages.models.openvino_runtime import core\n"
        "core()\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
