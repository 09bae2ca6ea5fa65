"""Every format gives what torch gives, or is not written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.config import DetectorConfig
from pipeline.errors import ConfigError, ModelError
from stages.detect import build_detector
from stages.models.exporting.deployed import OUTPUT_NAMES
from stages.models.exporting.export import Exported, ExportPlan, Trained, export
from stages.models.exporting.folding import folded
from stages.models.exporting.frames import as_input
from stages.models.exporting.onnx_graph import halved
from stages.models.exporting.running import run_openvino
from stages.models.exporting.subject import open_averaged, open_trained
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import NanoConfig
from stages.models.training.checkpoint import write_checkpoint
from tests.stages.models.exporting.tiny import CLASSES, HEIGHT, SMALL, WIDTH, frames, lively, pictures, trained

pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")

ROOT = Path(__file__).resolve().parents[4]
OFFSETS = [0.5, 0.0, -0.5, 0.0, 0.25]


def plan(folder: Path, *formats: str) -> ExportPlan:
    return ExportPlan(folder=folder, name="small", formats=formats, width=WIDTH, height=HEIGHT)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Exported]:
    made = replace(trained(), offsets=OFFSETS)
    return export(made, plan(tmp_path_factory.mktemp("exported"), "onnx", "openvino", "torch"), frames())


def test_each_format_has_its_files_and_nothing_else_is_left(exported: Sequence[Exported]) -> None:
    assert [one.path.name for one in exported] == ["small.onnx", "small.xml", "small.pt2"]
    names = sorted(path.name for path in exported[0].path.parent.iterdir())
    assert names == ["small.bin", "small.json", "small.onnx", "small.pt2", "small.xml"]
    assert all(one.agreement.seen for one in exported), "nothing was found, so that nothing was compared"


def test_files_give_what_torch_gives_for_other_pictures_and_several_at_once(exported: Sequence[Exported]) -> None:
    picture = as_input(np.concatenate(pictures(2, seed=9)))
    with torch.no_grad():
        expected = lively()(torch.from_numpy(picture))
    for one in exported[:2]:
        given = run_openvino(one.path, picture)
        assert set(given) == set(OUTPUT_NAMES)
        scores = (expected.class_logits + torch.tensor(OFFSETS)).sigmoid().numpy()
        assert np.abs(given["boxes"] - expected.boxes.numpy()).max() < 0.5
        assert np.abs(given["scores"] - scores).max() < 0.05
        assert np.abs(given["semantic"] - expected.semantic.numpy()).max() < 0.05


def test_the_card_tells_the_classes_and_what_was_checked(exported: Sequence[Exported]) -> None:
    card = json.loads(exported[0].path.with_suffix(".json").read_text())
    assert card["things"][0] == "person"
    assert card["network"]["pyramid"] == 16
    assert card["class_offsets"]["car"] == -0.5
    assert card["checked"]["on"] == "noise"
    assert card["checked"]["small.onnx"]["same_detections"] >= 0.98
    assert set(card["files"]) == {"small.onnx", "small.xml", "small.pt2"}


def test_an_exported_file_can_be_exported_again(exported: Sequence[Exported]) -> None:
    again = open_trained(str(exported[0].path))
    assert (again.offsets, again.classes, again.training) == (OFFSETS, CLASSES, "three passes over noise")
    assert again.network.config == lively().config


def test_the_other_backbone_and_distributed_boxes_are_exported_too(tmp_path: Path) -> None:
    config = NanoConfig(backbone="shufflenet", bins=8, pyramid=16, mask_width=16, coefficients=8)
    (one,) = export(Trained(network=lively(config), classes=CLASSES), plan(tmp_path, "onnx"), frames())
    assert one.agreement.seen
    assert open_trained(str(one.path)).network.config == config


@pytest.fixture(scope="module")
def open_files(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Exported]:
    made = replace(plan(tmp_path_factory.mktemp("open"), "onnx"), any_size=True)
    return export(replace(trained(), offsets=OFFSETS), made, frames(checked=2))


@pytest.mark.long
def test_files_of_any_size_give_what_torch_gives(tmp_path: Path) -> None:
    made = replace(plan(tmp_path, "onnx", "openvino", "torch"), any_size=True)
    open_files = export(replace(trained(), offsets=OFFSETS), made, frames(checked=2))
    picture = as_input(np.random.default_rng(4).integers(0, 256, (2, 128, 160, 3), dtype=np.uint8))
    with torch.no_grad():
        expected = lively()(torch.from_numpy(picture))
    for one in open_files[:2]:
        given = run_openvino(one.path, picture)
        assert np.abs(given["boxes"] - expected.boxes.numpy()).max() < 0.5
        assert np.abs(given["semantic"] - expected.semantic.numpy()).max() < 0.05
    program = torch.export.load(open_files[2].path).module()
    with torch.no_grad():
        assert torch.allclose(program(torch.from_numpy(picture))[0], expected.boxes, atol=1e-2)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_file_of_any_size_is_a_detector_of_the_size_asked_for(open_files: Sequence[Exported], backend: str) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    running = {"model": str(open_files[0].path), "backend": backend, "precision": "f32"}
    usual = build_detector(msgspec.convert(running, DetectorConfig))
    assert usual.input_size == (WIDTH, HEIGHT)
    turned = build_detector(msgspec.convert({**running, "picture_size": (64, 128)}, DetectorConfig))
    assert turned.input_size == (64, 128)
    with pytest.raises(ModelError, match=r"cannot take pictures of 70x64; most want multiples of 32"):
        build_detector(msgspec.convert({**running, "picture_size": (70, 64)}, DetectorConfig))


def test_without_its_card_a_file_of_any_size_needs_one(open_files: Sequence[Exported], tmp_path: Path) -> None:
    alone = shutil.copy(open_files[0].path, tmp_path)
    with pytest.raises(ConfigError, match=r"detector\.picture_size: needed, because .*small\.onnx leaves the size"):
        build_detector(DetectorConfig(model=str(alone)))


def test_weights_of_several_checkpoints_are_averaged(tmp_path: Path) -> None:
    taxonomy = Taxonomy(classes=CLASSES)
    networks = [lively(seed=seed) for seed in (3, 4, 5)]
    paths = [str(tmp_path / f"{number}.safetensors") for number in range(3)]
    for path, network in zip(paths, networks, strict=True):
        write_checkpoint(Path(path), network, taxonomy, training=path)
    found = open_averaged(paths[0], paths[1:])
    assert found.training == paths[0]
    weights = [network.state_dict()["semantic.weight"] for network in (*networks, found.network)]
    assert torch.allclose(weights[3], sum(weights[:3]) / 3, atol=1e-7)
    assert not torch.allclose(weights[3], weights[0])
    assert torch.equal(open_averaged(paths[0], ()).network.state_dict()["semantic.weight"], weights[0])
    wider = str(tmp_path / "wider.safetensors")
    write_checkpoint(Path(wider), lively(replace(SMALL, mask_width=24)), taxonomy)
    with pytest.raises(ModelError, match=r"wider\.safetensors: its network has another shape or other classes"):
        open_averaged(paths[0], [wider])
    with pytest.raises(ModelError, match="everyframe-nano: only checkpoints of 'everyframe train'"):
        open_averaged(paths[0], ["everyframe-nano"])


def test_a_network_in_training_is_left_as_it_was(tmp_path: Path) -> None:
    training = trained()
    training.network.train()
    export(training, plan(tmp_path, "torch"), frames(checked=1))
    assert training.network.training


@pytest.mark.parametrize("size", [(100, 64), (96, 0), (96, 8192)])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match=f"pictures of {size[0]}x{size[1]}; both sides must be multiples of 32"):
        export(trained(), ExportPlan(folder=tmp_path, name="small", width=size[0], height=size[1]), frames())
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    broken = trained()
    with torch.no_grad():
        broken.network.semantic.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"weight semantic\.weight: 1 of 160 values are not finite"):
        export(broken, plan(tmp_path, "onnx"), frames())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["weight", "running_var"])
def test_norms_that_let_nothing_through_are_refused_by_name(tmp_path: Path, part: str) -> None:
    dead = trained()
    norm = dead.network.mask_features.fuse[1]  # type: ignore[index]
    with torch.no_grad():
        getattr(norm, part).zero_()
    with pytest.raises(ModelError, match=r"norm mask_features\.fuse\.1: all of its 16"):
        export(dead, plan(tmp_path, "onnx"), frames())


def graph_of(largest: float) -> onnx.ModelProto:
    """One convolution whose weights go up to `largest`."""
    weights = np.linspace(-1, largest, 32 * 16, dtype=np.float32).reshape(32, 16, 1, 1)
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "one",
        [port("x", TensorProto.FLOAT, [1, 16, 2, 2])],
        [port("y", TensorProto.FLOAT, [1, 32, 2, 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph)


def test_weights_are_stored_by_half_and_used_whole() -> None:
    model = halved(graph_of(1.0))
    onnx.checker.check_model(model)
    assert [tensor.data_type for tensor in model.graph.initializer] == [TensorProto.FLOAT16]
    assert [node.op_type for node in model.graph.node] == ["Cast", "Conv"]


def test_a_weight_beyond_half_precision_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"weight w goes up to 1e\+06, and half precision to 65504; export in float32"):
        halved(graph_of(1e6))


def test_a_file_that_gives_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folded(lively(seed=4))
    monkeypatch.setattr("stages.models.exporting.export.folded", lambda _: other)
    with pytest.raises(ModelError, match=r"small\.pt2 does not give what torch gives: output \w+ differs by"):
        export(trained(), plan(tmp_path / "new", "torch"), frames())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_an_end_at_any_moment_leaves_what_was_there(tmp_path: Path, ending: type[BaseException]) -> None:
    (tmp_path / "small.pt2").write_bytes(b"the one before")

    def end(doing: str, done: int, total: int) -> None:
        if doing == "small.pt2 on the frames" and done == 2:
            raise ending

    with pytest.raises(ending):
        export(trained(), plan(tmp_path, "torch"), frames(), step=end)
    assert [path.name for path in tmp_path.iterdir()] == ["small.pt2"]
    assert (tmp_path / "small.pt2").read_bytes() == b"the one before"


FULL = """
import resource, signal, sys
from pathlib import Path
from pipeline.errors import ModelError
from stages.models.exporting.export import export
from tests.stages.models.exporting.test_export import plan
from tests.stages.models.exporting.tiny import frames, trained

made, checked = trained(), frames(checked=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    export(made, plan(Path(sys.argv[1]), sys.argv[2]), checked)
except ModelError as exc:
    print(exc)
"""


@pytest.mark.long
@pytest.mark.parametrize("format_", ["onnx", "torch"])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path, format_: str) -> None:
    """A limit on the size of a file stands for the disk: writing past it fails as on a full one."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "made"), format_]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=True)
    assert "cannot be written" in done.stdout, (done.stdout, done.stderr[-2000:])
    assert len(done.stdout.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()
