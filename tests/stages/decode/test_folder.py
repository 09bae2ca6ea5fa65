"""Reading a folder of segments: every frame of every one once, each in its epoch, and the bad ones told of."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import SourceNotFound
from pipeline.messages import Frame
from pipeline.stage import Access
from stages.decode import open_source
from tests.cameras import numbered_frames
from tests.cameras.files import write_video
from tests.cameras.numbered import read_number

EACH = 4  # frames a segment


def segment(folder: Path, number: int, *, name: str = "", **settings: Any) -> Path:
    """The `number`-th, put there at once as a rename does."""
    suffix = Path(name).suffix or ".mp4"
    whole = write_video(
        folder / f".new{suffix}",
        numbered_frames(EACH, 320, 240, first=EACH * number),
        options={"crf": "10"},
        **settings,
    )
    return whole.rename(folder / (name or f"seg{number}{suffix}"))


@dataclass
class Reading:
    """What came of reading a folder until its reader was let wait no longer."""

    frames: list[Frame] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    undecoded: int = 0
    received_bytes: int = 0

    @property
    def numbers(self) -> list[int | None]:
        return [read_number(frame.surface.planes[0]) for frame in self.frames]

    @property
    def sequence(self) -> list[tuple[int, int]]:
        return [(frame.epoch, frame.seq) for frame in self.frames]


def read_folder(
    folder: Path, *, while_waiting: Callable[[int], bool] = lambda waits: False, access: Access | None = None
) -> Reading:
    """Read what is there; `while_waiting` is called instead of each wait, with their number, and says if to go on."""
    reading, waits = Reading(), count()
    access = replace(
        access or Access(),
        wait=lambda seconds: seconds == 0 or while_waiting(next(waits)),
        complain=reading.complaints.append,
        take=reading.taken.append,
    )
    source = SourceConfig(url=f"{folder}/", source_id="gate", settle_seconds=0, poll_seconds=0.01)
    with closing(open_source(source, next_epoch=count(1).__next__, access=access)) as reader:
        reading.frames.extend(reader)
        reading.undecoded, reading.received_bytes = reader.undecoded, reader.received_bytes  # type: ignore[attr-defined]
    return reading


def test_every_segment_in_order_each_in_an_epoch_of_its_own(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        segment(tmp_path, number)
    reading = read_folder(tmp_path)
    assert reading.numbers == [EACH * number + i for number in (0, 2, 10) for i in range(EACH)]
    assert reading.sequence == [(epoch, seq) for epoch in (1, 2, 3) for seq in range(EACH)]
    assert reading.taken == ["seg0.mp4", "seg2.mp4", "seg10.mp4"]
    assert (reading.undecoded, reading.complaints) == (0, [])
    assert reading.received_bytes > 0


def test_segments_that_come_later_are_waited_for(tmp_path: Path) -> None:
    def wait(waits: int) -> bool:
        if waits < 3:
            segment(tmp_path, waits)
        return waits < 6

    reading = read_folder(tmp_path, while_waiting=wait)
    assert reading.numbers == list(range(3 * EACH))


def test_capture_time_is_that_of_the_recording(tmp_path: Path) -> None:
    segment(tmp_path, 0, metadata={"creation_time": "2024-05-06T07:08:09Z"})
    segment(tmp_path, 1, metadata={"creation_time": "2024-05-06T07:09:09Z"})
    frames = read_folder(tmp_path).frames
    assert {frame.clock for frame in frames} == {"recording"}
    assert frames[EACH].capture_time_ns - frames[0].capture_time_ns == 60_000_000_000


def test_a_bad_segment_is_named_and_counted_and_the_others_go_on(tmp_path: Path) -> None:
    segment(tmp_path, 0)
    (tmp_path / "seg1.mp4").write_bytes(b"no video at all" * 100)
    (tmp_path / "seg2.mp4").write_bytes(b"")
    segment(tmp_path, 3)
    reading = read_folder(tmp_path)
    assert reading.numbers == [*range(EACH), *range(3 * EACH, 4 * EACH)]
    assert [text.partition(" ")[0] for text in reading.complaints] == ["gate:", "gate:"]
    assert "seg1.mp4 is no video that can be read" in reading.complaints[0]
    assert "seg2.mp4 is empty; segments that could not be read so far: 2" in reading.complaints[1]
    assert reading.undecoded == 2


def test_a_playlist_with_the_name_of_a_video_opens_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir()
    other = segment(tmp_path, 0)
    (folder / "list.ts").write_text(f"#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n")
    reading = read_folder(folder)
    assert reading.frames == []
    assert "list.ts is no video that can be read" in reading.complaints[0]


def test_a_link_that_leads_out_of_the_root_is_a_bad_segment(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "seg0.mp4").symlink_to(segment(tmp_path, 5))
    segment(root, 1)
    reading = read_folder(root, access=Access(files_root=str(root)))
    assert reading.numbers == list(range(EACH, 2 * EACH))
    assert "seg0.mp4 (it leads to " in reading.complaints[0]
    assert "lies outside files_root" in reading.complaints[0]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    segment(tmp_path, 0, name="seg\udcff.mp4")
    (tmp_path / "seg\udcfe.mp4").write_bytes(b"nothing")
    reading = read_folder(tmp_path)
    assert reading.numbers == list(range(EACH))
    assert "seg?.mp4" in reading.complaints[0]
    assert reading.complaints[0].encode()


def test_a_folder_that_is_read_again_gives_no_segment_twice(tmp_path: Path) -> None:
    access = Access()
    segment(tmp_path, 0)
    assert read_folder(tmp_path, access=access).numbers == list(range(EACH))
    segment(tmp_path, 1)
    assert read_folder(tmp_path, access=access).numbers == list(range(EACH, 2 * EACH))


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"gate: .*nowhere/ is no folder that is there"):
        read_folder(tmp_path / "nowhere")


def test_leaving_in_the_middle_of_a_segment_closes_it(tmp_path: Path) -> None:
    segment(tmp_path, 0)
    segment(tmp_path, 1)
    before = len(os.listdir("/proc/self/fd"))
    source = SourceConfig(url=f"{tmp_path}/", source_id="gate", settle_seconds=0)
    with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
        for frame in reader:
            if frame.epoch == 2:
                break
    assert len(os.listdir("/proc/self/fd")) == before
