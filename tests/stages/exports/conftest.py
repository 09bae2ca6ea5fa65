"""Real results, of a short cut of the sample, and made-up ones of a tiny clip."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.stages.exports.recordings import Recording, clip, recording

ROOT = Path(__file__).resolve().parents[3]
CUT_FRAMES = 40


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `crossing.mp4`, a cut of the sample, and what `everyframe process` made of it, in `crossing`.

    `fps` has what it makes of it at five frames a second. Processes that share the tests share these results.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "crossing"
    with (base / "crossing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = base / "crossing.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _process(partial)
            partial.rename(folder)
    return folder


def _process(folder: Path) -> None:
    _cut(ROOT / "samples" / "crossing" / "crossing.mp4", folder / "crossing.mp4")
    for target, more in ((folder, ()), (folder / "fps", ("--fps", "5"))):
        command = [
            sys.executable,
            "-m",
            "pipeline.cli",
            "process",
            str(folder / "crossing.mp4"),
            "-q",
            "--workers",
            "1",
            *more,
        ]
        subprocess.run([*command, "--output", str(target / "results")], check=True, cwd=ROOT)
        (target / "results" / "crossing").rename(target / "crossing")


def _cut(source: Path, target: Path) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for frame, _ in zip(given.decode(video=0), range(CUT_FRAMES), strict=False):
            made.mux(stream.encode(frame.reformat(format="yuv420p")))
        made.mux(stream.encode(None))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Twelve frames with two followed things, masks, and a box that nobody follows."""
    return recording(clip(tmp_path_factory.mktemp("small") / "clip.mp4"))


@pytest.fixture(scope="session")
def two_sizes(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two epochs of twelve frames each, of different size, in a file without time stamps that could be sought."""
    return recording(clip(tmp_path_factory.mktemp("sizes") / "clip.h264", sizes=((96, 64), (64, 48))))
