"""ONNX graphs bound to device tensors: the same as unbound, on the CPU provider and, where there is one, on a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.config import DetectorConfig
from pipeline.errors import DeviceLost, ModelError
from pipeline.messages import Batch, DeviceSurface, Frame, Surface, on_host
from stages.detect import build_detector
from stages.models import backend as backends
from stages.models.backend import Normalisation, SurfaceBackend, load_backend, open_network
from stages.models.devices import Device
from stages.models.onnx_placement import Placed
from stages.models.preprocess import InputSpec, Preprocessor
from tests import networks
from tests.gpu import cuda_device

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from stages.models.bound_session import BoundSession  # noqa: E402
from stages.models.onnx_device_backend import OnnxDeviceBackend  # noqa: E402

CLIP = Path(__file__).parents[3] / "samples" / "crossing" / "crossing.mp4"
IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backends, "_running", WeakSet())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def clip_frames() -> list[Frame]:
    """The sample's first, tenth, ... frames, as decoded."""
    import av

    frames = []
    with av.open(str(CLIP)) as container:
        for i, decoded in enumerate(itertools.islice(container.decode(video=0), 31)):
            if i % 10 == 0:
                planes = decoded.to_ndarray(format="yuv420p").reshape(-1)
                height, width = decoded.height, decoded.width
                luma, half = height * width, (height // 2) * (width // 2)
                parts = planes[:luma], planes[luma : luma + half], planes[luma + half :]
                shapes = (height, width), (height // 2, width // 2), (height // 2, width // 2)
                surface = Surface("yuv420p", tuple(p.reshape(s) for p, s in zip(parts, shapes, strict=True)))
                frames.append(Frame("a", 1, i, i, Fraction(1, 25), 0, "host", 0, surface))
    return frames


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def on_cpu(
    path: Path, *, largest: int = 1, lanes: int = 1, session: Any = None, signature: Any = None, **more: Any
) -> OnnxDeviceBackend:
    """The backend for devices, on the CPU's provider."""
    device = torch.device("cpu")
    signature = signature or open_network(path, kind="onnxruntime").signature
    shapes = {port.name: port.shape for port in signature.outputs}
    bound = BoundSession(session or session_of(path), device, name=path.stem, shapes=shapes)
    more = {"normalise": Normalisation(), "planar": (), **more}
    return OnnxDeviceBackend(
        bound, signature, device=device, stream=None, lanes=lanes, largest=largest, name=path.stem, note="test", **more
    )


def pictures(count: int, shape: tuple[int, ...] = (8, 12, 3)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def open_sum(path: Path, *, wrong_together: bool = False) -> Path:
    """A network whose batch is open: each picture's mean; of several, where asked, the mean of them all."""
    axes = [0, 1, 2, 3] if wrong_together else [1, 2, 3]
    nodes = [helper.make_node("ReduceMean", ["in"], ["mean"], axes=axes, keepdims=1)]
    nodes += [helper.make_node("ReduceMean", ["in"], ["rows"], axes=[1, 2, 3], keepdims=1)]
    nodes += [
        helper.make_node("Mul", ["rows", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["out"]),
    ]
    zero = onnx.numpy_helper.from_array(np.float32(0), "zero")
    given = [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 3, 8, 12])]
    found = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 1, 1, 1])]
    return networks.save(helper.make_graph(nodes, "open", given, found, [zero]), path)


def test_a_graph_of_open_size_is_bound_to_outputs_of_the_shapes_seen(tmp_path: Path) -> None:
    given = [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    found = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3, "h/2", "w/2"])]
    pool = helper.make_node("MaxPool", ["in"], ["out"], kernel_shape=[2, 2], strides=[2, 2])
    path = networks.save(helper.make_graph([pool], "open", given, found), tmp_path / "m.onnx")
    signature = open_network(path, kind="onnxruntime", size=(12, 8)).signature
    assert [port.shape[1:] for port in signature.outputs] == [(3, 4, 6)]
    device = torch.device("cpu")
    bound = BoundSession(session_of(path), device, name="m", shapes={p.name: p.shape for p in signature.outputs})
    picture = torch.rand(2, 3, 8, 12)
    torch.testing.assert_close(bound(picture)["out"], torch.nn.functional.max_pool2d(picture, 2))
    assert bound._held, "outputs were allocated anew, not bound"


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_bound_gives_what_unbound_does(channels_last: bool, count: int, tmp_path: Path) -> None:
    shape = (1, 8, 12, 3) if channels_last else (1, 3, 8, 12)
    path = networks.channel_means(tmp_path / "m.onnx", picture=shape, channels_last=channels_last)
    unbound = load_backend(path, kind="onnxruntime", normalise=IMAGENET)
    bound = on_cpu(path, normalise=IMAGENET)
    assert bound.input_shape[1:] == unbound.input_shape[1:]
    assert bound.outputs == unbound.outputs
    np.testing.assert_allclose(bound(pictures(count))["means"], unbound(pictures(count))["means"], atol=1e-5)


def test_bound_gives_what_unbound_does_for_a_real_detector(shared_data: Path) -> None:
    path = shared_data / "weights" / "yolox_nano_416.onnx"
    given = pictures(2, (416, 416, 3))
    unbound = load_backend(path, kind="onnxruntime", normalise=Normalisation())
    bound = on_cpu(path)
    for left, right in zip(bound(given).values(), unbound(given).values(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-3)


def test_what_a_graph_takes_and_gives_in_other_types_is_bound_in_them(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["in"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Cast", ["mean"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Cast", ["mean"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("NonZero", ["mean"], ["which"]),  # of a shape that only a run tells
    ]
    given = [helper.make_tensor_value_info("in", TensorProto.UINT8, [1, 3, 8, 12])]
    found = [
        helper.make_tensor_value_info("whole", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("half", TensorProto.FLOAT16, [1]),
        helper.make_tensor_value_info("which", TensorProto.INT64, [1, "found"]),
    ]
    path = networks.save(helper.make_graph(nodes, "types", given, found, []), tmp_path / "t.onnx")
    shown = np.full((3, 8, 12, 3), 7, np.uint8)
    shown[1] = 200
    got = on_cpu(path)(shown)
    assert [got[name].dtype for name in got] == [np.float32] * 3
    assert (got["whole"].tolist(), got["half"].tolist()) == ([7, 200, 7], [7, 200, 7])
    assert got["which"].tolist() == [[0]] * 3


def test_planar_outputs_come_planar(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    path = networks.constant(tmp_path / "s.onnx", picture=(1, 8, 12, 3), outputs=[scores])
    bound = on_cpu(path, planar=(0,))
    (shape,) = bound.outputs.values()
    (got,) = bound(pictures(2)).values()
    assert shape[1:] == got.shape[1:] == (5, 4, 6)
    assert np.array_equal(got[1], scores[0].transpose(2, 0, 1))


def test_pictures_go_together_only_where_that_gives_the_same(tmp_path: Path) -> None:
    good = on_cpu(open_sum(tmp_path / "good.onnx"), largest=4)
    bad = on_cpu(open_sum(tmp_path / "bad.onnx", wrong_together=True), largest=4)
    fixed = on_cpu(networks.channel_means(tmp_path / "fixed.onnx"), largest=4)
    assert "up to 4 at once" in good.note
    assert "one picture at a time" in bad.note
    assert "one picture at a time" in fixed.note
    means = pictures(7).mean(axis=(1, 2, 3))
    for network in (good, bad):
        np.testing.assert_allclose(network(pictures(7))["out"].reshape(7), means, rtol=1e-5)


def test_surfaces_are_made_into_pictures_where_the_network_runs(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    planes = tuple(random.integers(0, 256, size, dtype=np.uint8) for size in ((40, 60), (20, 30), (20, 30)))
    surfaces = [Surface("yuv420p", planes), Surface("rgb24", (random.integers(0, 256, (16, 24, 3), dtype=np.uint8),))]
    for channels_last, shape in ((False, (1, 3, 8, 12)), (True, (1, 8, 12, 3))):
        path = networks.channel_means(tmp_path / f"{channels_last}.onnx", picture=shape, channels_last=channels_last)
        spec = InputSpec(width=12, height=8, colours="bgr", fit="corner", normalise=IMAGENET)
        network = on_cpu(path, normalise=IMAGENET)
        assert isinstance(network, SurfaceBackend)
        looked = network.look(surfaces, spec)
        shown, placements = Preprocessor(spec).stack(surfaces)
        assert list(looked.placements) == placements
        np.testing.assert_allclose(looked.result()["means"], network(shown)["means"], atol=0.05)


def test_lanes_share_it(tmp_path: Path) -> None:
    network = on_cpu(networks.channel_means(tmp_path / "m.onnx"), lanes=3)
    with ThreadPoolExecutor(3) as lanes:
        found = list(lanes.map(lambda i: network(np.full((2, 8, 12, 3), i, np.uint8))["means"], range(40)))
    assert [one.tolist() for one in found] == [[[i] * 3] * 2 for i in range(40)]


def test_closed_networks_and_wrong_pictures_say_so(tmp_path: Path) -> None:
    network = on_cpu(networks.channel_means(tmp_path / "m.onnx"))
    with pytest.raises(ModelError, match=r"shape \[1, 8, 13, 3\]; the network takes \[N, 8, 12, 3\]"):
        network(np.zeros((1, 8, 13, 3), np.uint8))
    network.close()
    network.close()
    with pytest.raises(ModelError, match="was closed"):
        network(pictures(1))


class Failing:
    """A session that fails from the moment it is told to."""

    def __init__(self, path: Path) -> None:
        self._session = session_of(path)
        self.fails: Callable[[], str] = lambda: ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any) -> None:
        if message := self.fails():
            raise RuntimeError(message)
        self._session.run_with_iobinding(binding)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", DeviceLost),
        ("Failed to allocate memory for requested buffer of size 1024", ModelError),
        ("Non-zero status code returned while running Conv node", ModelError),
    ],
)
def test_a_failure_is_told_for_what_it_is(message: str, error: type[Exception], tmp_path: Path) -> None:
    path = networks.channel_means(tmp_path / "m.onnx")
    session = Failing(path)
    network = on_cpu(path, session=session)
    session.fails = lambda: message
    for _ in range(5):  # more than there are slots
        with pytest.raises(error):
            network(pictures(1))
    session.fails = lambda: ""
    assert network(pictures(1))["means"].shape == (1, 3)


def test_too_little_memory_for_several_makes_it_one_at_a_time(tmp_path: Path) -> None:
    path = open_sum(tmp_path / "m.onnx")
    session = Failing(path)
    network = on_cpu(path, session=session, largest=4)
    short = iter(["Failed to allocate memory for requested buffer of size 1024"])
    session.fails = lambda: next(short, "")
    np.testing.assert_allclose(network(pictures(3))["out"].reshape(3), pictures(3).mean(axis=(1, 2, 3)), rtol=1e-5)
    assert "one picture at a time" in network.note
    assert ["ran out of memory" in told for told in network.complaints()] == [True]
    assert network.complaints() == []


def test_warming_up_tells_of_every_size_and_of_a_long_first_start(tmp_path: Path) -> None:
    told: list[str] = []
    on_cpu(open_sum(tmp_path / "m.onnx"), largest=4, first_start="it takes minutes").warm_up(told.append)
    assert told[0] == "m: it takes minutes"
    assert [text.partition(" ready")[0] for text in told[1:]] == [f"m: batches of {n}" for n in (1, 2, 4)]


class OnItsCpu(Placed):
    """Places networks on the device's path, on a CPU."""

    def open(self, path: Path, backend: Any, size: Any = None) -> Any:
        return open_network(path, kind="onnxruntime", size=size)

    def compile(self, network: Any, config: Any, *, normalise: Normalisation, planar: Any = (), lanes: int = 1) -> Any:
        signature = network.signature
        return on_cpu(Path(config.model), normalise=normalise, planar=planar, lanes=lanes, signature=signature)


@pytest.mark.parametrize("model", ["yolox_nano_416.onnx", "fastestdet_352.onnx"])
def test_a_detector_finds_the_same_on_either_path(model: str, shared_data: Path, clip_frames: list[Frame]) -> None:
    config = DetectorConfig(model=str(shared_data / "weights" / model), backend="onnxruntime", score_threshold=0.3)
    batch = Batch(tuple(clip_frames))
    usual = build_detector(config)
    expected = usual(batch).detections
    usual.close()
    found = build_detector(config, placed=OnItsCpu())(batch).detections
    assert expected is not None
    assert found is not None
    assert sum(map(len, expected)) > 0
    for left, right in zip(found, expected, strict=True):
        clear = right.boxes[right.scores > 0.45]  # those near the threshold may come or go
        apart = [np.abs(left.boxes - box).max(axis=1).min() for box in clear]  # pixels
        assert np.percentile(apart, 80) < 4.0
        assert abs(len(left) - len(right)) <= 2


def test_a_network_on_the_cpu_looks_at_surfaces_that_lie_on_a_device(tmp_path: Path, clip_frames: list[Frame]) -> None:
    surface = clip_frames[0].surface
    there = DeviceSurface(
        surface.format, tuple(map(torch.from_numpy, surface.planes)), matrix=surface.matrix, range=surface.range
    )
    back = on_host(there)
    assert type(back) is Surface
    assert all(np.array_equal(left, right) for left, right in zip(back.planes, surface.planes, strict=True))
    assert on_host(surface) is surface


@pytest.mark.gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_on_a_gpu_it_gives_what_the_cpu_does(provider: Any, shared_data: Path) -> None:
    device: Device = cuda_device()
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    from stages.models.onnxruntime_backend import OnnxRuntimeNetwork

    path = shared_data / "weights" / "yolox_nano_416.onnx"
    given = pictures(3, (416, 416, 3))
    expected = load_backend(path, kind="onnxruntime", normalise=Normalisation())(given)
    network = OnnxRuntimeNetwork(path).on_device(
        device, normalise=Normalisation(), precision="f32", provider=provider, largest=4
    )
    network.warm_up(lambda _: None)
    for left, right in zip(network(given).values(), expected.values(), strict=True):
        np.testing.assert_allclose(left, right, atol=0.05, rtol=1e-2)
