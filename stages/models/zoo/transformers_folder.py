"""Networks of transformers from a folder, or from the hub into its cache: configuration, weights, and the picture.

Nothing that is loaded is run as code, and weights are safetensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, ModelError
from stages.models.backend import Normalisation
from stages.models.preprocess import Fit, InputSpec
from stages.models.zoo.deformable import sample_in_kernels
from stages.models.zoo.folding import fold_normalisations
from stages.models.zoo.fusing import fuse_convolutions
from stages.models.zoo.halving import halve_in_kernels
from stages.models.zoo.weights import check_sha256, sha256_of

_FILES = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json", "*token*", "*vocab*"]
_STEP = 32  # sides are whole multiples: strides of pyramids, and windows


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A network's folder, looked at and not loaded."""

    path: Path
    name: str
    config: Any  # a configuration of transformers
    picture: Mapping[str, Any]  # what its preprocessor_config.json says; empty where there is none

    @property
    def kind(self) -> str:
        """Its ``model_type``."""
        return str(self.config.model_type)

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes in order; what has no name of its own is called as transformers does, ``LABEL_3``."""
        labels = self.config.id2label
        return tuple(str(labels.get(i, "N/A")) for i in range(max(labels) + 1))


def open_folder(where: str, *, offline: bool) -> Folder:
    """The folder of a network: a path, or a name on the hub, which is fetched once unless `offline`.

    Raises:
        ModelError: when it is not there and cannot be had, with what to put where; or cannot be read.
        ConfigError: when transformers is not installed.
    """
    transformers = _library()
    path = Path(where) if Path(where).is_dir() else _from_hub(where, offline=offline)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path}: no config.json; a folder as save_pretrained writes it is needed")
    try:
        config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as exc:
        raise ModelError(f"{path}: its config.json cannot be read: {_first_line(exc)}") from exc
    return Folder(path, where.rstrip("/").rpartition("/")[2], config, _picture_settings(path))


def load_network(folder: Folder, class_name: str, *, sha256: str | None) -> tuple[Any, str]:
    """The network with its weights, and their SHA-256. Raises `ModelError`."""
    files = sorted(folder.path.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder.path}: no weights; model.safetensors is needed (pickled weights are not read)")
    version = sha256_of(*files)
    check_sha256(version, sha256, path=files[0])
    # Whether the sizes of its levels add up is asked of the device in every layer: a wait, and no CUDA graph. The first
    # picture would fail all the same.
    os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")
    kind = getattr(_library(), class_name, None)
    if kind is None:
        raise ConfigError(f"{folder.name}: the installed transformers has no {class_name}; a newer one is needed")
    try:
        network, info = kind.from_pretrained(
            folder.path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as exc:
        raise ModelError(f"{folder.path}: the weights cannot be loaded: {_first_line(exc)}") from exc
    missing = sorted(info["missing_keys"]) + sorted(str(one[0]) for one in info["mismatched_keys"])
    if missing:
        raise ModelError(
            f"{folder.path}: not all weights of {class_name} are there: {missing[0]} and {len(missing) - 1} more lack"
        )
    fold_normalisations(network.float().eval())  # weights may be stored in half a float
    fuse_convolutions(network)
    sample_in_kernels(network)
    halve_in_kernels(network)
    return network, version


def picture_of(
    folder: Folder, *, fit: Fit, normalised: bool, usual: tuple[int, int], size: tuple[int, int] | None
) -> InputSpec:
    """The picture it wants, by its preprocessor_config.json.

    `size` or `usual`, width and height, hold where that is silent, and `normalised` says whether ImageNet's mean is
    then taken off. A size that is given as its shorter and longer edge is taken as wide and low.
    """
    told = folder.picture
    width, height = size or _size(told.get("size")) or usual
    mean, deviation = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
    if told.get("do_normalize", normalised):
        mean = _levels(told.get("image_mean", (0.485, 0.456, 0.406)))
        deviation = _levels(told.get("image_std", (0.229, 0.224, 0.225)))
    normalise = Normalisation(mean, deviation)
    return InputSpec(width=width, height=height, colours="rgb", fit=fit, padding=0, normalise=normalise)


def _library() -> Any:
    try:
        import transformers
    except ImportError as exc:
        raise ConfigError("the package transformers is missing; pip install 'everyframe[transformers]'") from exc
    library: Any = transformers
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


def _from_hub(name: str, *, offline: bool) -> Path:
    remedy = (
        f"put config.json, preprocessor_config.json and model.safetensors of https://huggingface.co/{name} into a "
        "folder and name it: transformers:FOLDER"
    )
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ModelError(f"transformers:{name}: no such folder, and not a name OWNER/MODEL of the hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=offline))
    except LocalEntryNotFoundError as exc:
        why = "is not in the hub's cache on this machine, and 'offline' is set" if offline else "could not be fetched"
        raise ModelError(f"transformers:{name} {why}; {remedy}") from exc
    except (HfHubHTTPError, HFValidationError, OSError, RuntimeError) as exc:
        raise ModelError(f"transformers:{name} could not be fetched ({_first_line(exc)}); {remedy}") from exc


def _picture_settings(path: Path) -> Mapping[str, Any]:
    file = path / "preprocessor_config.json"
    if not file.is_file():
        return {}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ModelError(f"{file}: cannot be read: {exc}") from exc
    return told if isinstance(told, dict) else {}


def _size(told: Any) -> tuple[int, int] | None:
    """Width and height, from {height, width}, {shortest_edge, longest_edge} or a number."""
    match told:
        case {"height": int(height), "width": int(width)}:
            return width, height
        case {"shortest_edge": int(short), "longest_edge": int(long)}:
            return _whole(long), _whole(short)
        case {"shortest_edge": int(short)}:
            return _whole(short), _whole(short)
        case int(side):
            return side, side
    return None


def _whole(side: int) -> int:
    return -(-side // _STEP) * _STEP


def _levels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (255.0 * float(value) for value in values)
    return red, green, blue


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
