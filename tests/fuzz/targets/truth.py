"""The truth beside a rendered clip: `ValueError` that names the file, or arrays that fit together.

The input is the JSON; its first byte says whether it is packed by us or is the packed file itself.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from stages.models.world.truth import read_truth
from tests.fuzz.scratch import scratch

JSON = (
    b'{"format":"everyframe-world-truth","version":1,"classes":["a"],"width":16,"height":8,"fps":25.0,"scale":4,'
    b'"frames":[{"boxes":[[0,0,8,8]],"labels":[0],"tracks":[1],"visibility":[0.5],"map":[0,2,1,3,2,7]},'
    b'{"boxes":[],"labels":[],"tracks":[],"visibility":[]},'
    b'{"boxes":[],"labels":[],"tracks":[],"visibility":[],"map":[1,1,0]}]}'
)
_PACKED = 1


def one_input(data: bytes) -> None:
    """Read the file; a refusal says which file it was."""
    if not data:
        return
    path = scratch("truth.json.gz")
    path.write_bytes(data[1:] if data[0] == _PACKED else gzip.compress(data[1:], compresslevel=1, mtime=0))
    try:
        truth = read_truth(path)
    except ValueError as exc:
        if str(path) not in str(exc):
            raise
        return
    for frame in truth.frames:
        assert len(frame.boxes) == len(frame.labels) == len(frame.track_ids) == len(frame.visibility)
        assert frame.id_map is None or frame.id_map.shape == (truth.height // truth.scale, truth.width // truth.scale)


def seeds() -> Iterator[bytes]:
    """A small truth, plain and packed."""
    yield b"\x00" + JSON
    yield bytes([_PACKED]) + gzip.compress(JSON, mtime=0)
