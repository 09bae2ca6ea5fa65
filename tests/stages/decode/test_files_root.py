"""A root of files: what lies elsewhere is not opened, whatever the path says and whatever happens to it meanwhile."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.config import SourceConfig
from pipeline.errors import AddressError, SourceNotFound
from pipeline.stage import Access
from stages.decode import open_source
from tests.cameras import numbered_frames
from tests.cameras.files import write_video

FRAMES, OTHER_FRAMES = 5, 9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a clip in it, and a longer one beside the root."""
    root = tmp_path / "root"
    root.mkdir()
    write_video(root / "clip.mp4", numbered_frames(FRAMES, 320, 240))
    write_video(tmp_path / "outside.mp4", numbered_frames(OTHER_FRAMES, 320, 240))
    return root


def frames_of(path: Path | str, root: Path) -> int:
    source = SourceConfig(url=str(path), source_id="cam")
    reader = open_source(source, next_epoch=count(1).__next__, access=Access(files_root=str(root)))
    try:
        return sum(1 for _ in reader)
    finally:
        reader.close()


def test_what_lies_within_is_read_like_any_file(root: Path) -> None:
    (root / "link.mp4").symlink_to(root / "clip.mp4")
    (root.parent / "entry").symlink_to(root)
    for path in (root / "clip.mp4", root / "link.mp4", root.parent / "entry" / "clip.mp4", f"file://{root}/clip.mp4"):
        assert frames_of(path, root) == FRAMES


def test_a_root_given_through_a_link(root: Path) -> None:
    (root.parent / "entry").symlink_to(root)
    assert frames_of(root / "clip.mp4", root.parent / "entry") == FRAMES


@pytest.mark.parametrize("name", ["clip.ts", "clip.mkv", "clip.avi", "clip.mjpeg", "clip.h264"])
def test_a_format_is_recognised_without_the_name(root: Path, name: str) -> None:
    codec, pixel_format = ("mjpeg", "yuvj420p") if name == "clip.mjpeg" else ("libx264", "yuv420p")
    write_video(root / name, numbered_frames(FRAMES, 320, 240), codec=codec, pixel_format=pixel_format)
    assert frames_of(root / name, root) == FRAMES


def test_what_lies_elsewhere_is_refused(root: Path) -> None:
    outside = root.parent / "outside.mp4"
    (root / "link.mp4").symlink_to(outside)
    (root / "folder").symlink_to(root.parent)
    for path in (outside, root / "link.mp4", root / ".." / "outside.mp4", root / "folder" / "outside.mp4"):
        with pytest.raises(AddressError, match=r"cam: .* lies outside files_root; only files in .*root are taken"):
            frames_of(path, root)


def test_a_folder_whose_name_begins_like_the_root_is_another(root: Path) -> None:
    other = root.with_name("root-2")
    other.mkdir()
    (root.parent / "outside.mp4").rename(other / "clip.mp4")
    with pytest.raises(AddressError, match="lies outside files_root"):
        frames_of(other / "clip.mp4", root)


def test_a_missing_file_is_still_one(root: Path) -> None:
    with pytest.raises(SourceNotFound):
        frames_of(root / "nothing.mp4", root)


def test_a_link_that_changes_between_check_and_opening_leads_nowhere(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = root / "link.mp4"
    link.symlink_to(root / "clip.mp4")
    really = av.open

    def swapped(*arguments: Any, **settings: Any) -> Any:
        link.unlink()
        link.symlink_to(root.parent / "outside.mp4")
        return really(*arguments, **settings)

    monkeypatch.setattr(av, "open", swapped)
    assert frames_of(link, root) == FRAMES
    monkeypatch.undo()
    with pytest.raises(AddressError, match="lies outside"):
        frames_of(link, root)


def test_a_folder_that_becomes_a_link_into_the_root_after_opening_helps_nobody(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened outside; then its folder's name leads into the root. Where it was opened counts."""
    folder = root.parent / "folder"
    folder.mkdir()
    (root.parent / "outside.mp4").rename(folder / "clip.mp4")
    really = os.open

    def swapped(path: Any, *arguments: Any, **settings: Any) -> int:
        descriptor = really(path, *arguments, **settings)
        if str(path) == str(folder / "clip.mp4"):
            folder.rename(root.parent / "moved")
            folder.symlink_to(root)
        return descriptor

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(AddressError, match="lies outside"):
        frames_of(folder / "clip.mp4", root)


def test_no_descriptor_stays_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        frames_of(root / "clip.mp4", root)
        with pytest.raises(AddressError):
            frames_of(root.parent / "outside.mp4", root)
    assert len(os.listdir("/proc/self/fd")) == before
