"""Where a network's weights come from: a file, or the library's own, kept on disk once they were fetched.

Only safetensors, and what `torch.load(weights_only=True)` takes, are read: a pickle could run anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from pipeline.errors import ModelError
from stages.models.backend import check_file

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """Weights as a library publishes them; `sha256` may be their first digits."""

    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def sha256_of(*paths: Path) -> str:
    """SHA-256 of files, one after the other, in hex."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_sha256(found: str, wanted: str | None, *, path: Path) -> None:
    """Refuse weights that are not those meant. Raises `ModelError`."""
    if wanted is not None and not found.startswith(wanted.lower()):
        raise ModelError(f"{path}: SHA-256 is {found}, {wanted} is wanted; the file is damaged or another one")


def published_file(published: Published, *, model: str, offline: bool, folder: Path | None = None) -> Path:
    """The file of published weights, fetched once unless `offline`. `folder` keeps them, torch's own where None.

    Raises:
        ModelError: when they are not here and cannot be fetched; says which file to put where.
    """
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else folder
    path = folder / published.file_name
    if not path.is_file():
        remedy = (
            f"put {published.url} at {path} (its SHA-256 begins with {published.sha256}), or name a file of weights"
        )
        if offline:
            raise ModelError(f"{model}: its weights are not on this machine, and 'offline' is set; {remedy}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(published.url, str(path), hash_prefix=published.sha256, progress=False)
        except (URLError, OSError, RuntimeError) as exc:
            raise ModelError(f"{model}: its weights could not be fetched ({exc}); {remedy}") from exc
    check_sha256(sha256_of(path), published.sha256, path=path)
    return path


def load_state(path: Path) -> State:
    """The tensors of a file of weights by name. Raises `ModelError` where it is something else."""
    check_file(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError, ValueError) as exc:
            raise ModelError(f"{path}: not a safetensors file that can be read: {exc}") from exc
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:
        lines = str(exc).splitlines() or [type(exc).__name__]
        raise ModelError(
            f"{path}: not weights that can be read safely; .safetensors, or tensors alone as torch.save writes a "
            f"state_dict, are needed ({lines[0][:200]})"
        ) from exc
    state = state.get("model", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path}: no state_dict; tensors by name are needed, as torch.save(model.state_dict()) writes")
    return state


def fill(module: Any, state: State, *, path: Path, model: str) -> None:
    """Load weights into the network they are for. Raises `ModelError` where they are for another."""
    try:
        module.load_state_dict(state)
    except RuntimeError as exc:
        lines = [line.strip() for line in str(exc).splitlines()[1:]] or [str(exc)]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise ModelError(f"{path}: not weights of {model}: {lines[0][:300]}{more}") from exc
