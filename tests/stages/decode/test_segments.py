"""Which segments of a folder there are, in which order they are taken, and when."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from pipeline.clock import ManualClock
from pipeline.config import SourceConfig
from pipeline.config.video_names import is_video, order_of
from pipeline.errors import AddressError, SourceNotFound, SourceUnreachable
from pipeline.stage import Taken
from stages.decode.segments import LOOK_AGAIN, MOST_AT_ONCE, Segments

POLL, SETTLE = 1.0, 10.0


class Recorder:
    """A folder, a recorder's hand in it, and a clock that is turned by hand."""

    def __init__(self, folder: Path, *, taken: Taken | None = None, files_root: str | None = None) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self._born = time.time()
        self.taken = taken or Taken()
        source = SourceConfig(url=f"{folder}/", source_id="gate", poll_seconds=POLL, settle_seconds=SETTLE)
        self.segments = Segments(
            folder,
            source=source,
            taken=self.taken,
            files_root=files_root,
            monotonic=self.seconds,
            wall=lambda: self._born + self.seconds(),
        )

    def seconds(self) -> float:
        return self.clock.monotonic_ns() / 1e9

    def write(self, name: str, content: bytes = b"x", *, age: float = 0.0) -> Path:
        """Append to a file, as of so many seconds ago."""
        path = self.folder / name
        with path.open("ab") as file:
            file.write(content)
        written = self._born + self.seconds() - age
        os.utime(path, (written, written))
        return path

    def next(self) -> str | None:
        found = self.segments.next()
        return None if found is None else found.name

    def all(self) -> list[str]:
        """What can be had now."""
        return list(iter(self.next, None))


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def test_names_are_taken_in_order_with_numbers_by_their_value(recorder: Recorder) -> None:
    names = ["out999.ts", "out1000.ts", "out9.ts", "out010.ts", "a-2024-01-02.ts", "a-2024-01-01.ts"]
    for name in names:
        recorder.write(name, age=SETTLE)
    assert recorder.all() == ["a-2024-01-01.ts", "a-2024-01-02.ts", "out9.ts", "out010.ts", "out999.ts", "out1000.ts"]


def test_any_two_names_can_be_put_in_order() -> None:
    names = ["1", "a", "1a", "a1", "", "01", "1.1", "\udcff1", "a1b2", "٣"]
    backwards = list(reversed(names))
    assert sorted(names, key=order_of) == sorted(backwards, key=order_of)


@pytest.mark.parametrize("name", [".hidden.mp4", "~a.mp4", "a.mp4.part", "a.tmp", "a.mp4~", "index.m3u8", "a.jpg", "a"])
def test_what_is_hidden_unfinished_or_no_video_is_left_alone(recorder: Recorder, name: str) -> None:
    assert not is_video(name)
    recorder.write(name, age=SETTLE)
    assert recorder.all() == []


def test_subfolders_are_not_entered(recorder: Recorder) -> None:
    (recorder.folder / "sub.mp4").mkdir()
    (recorder.folder / "sub.mp4" / "a.mp4").write_bytes(b"x")
    (recorder.folder / "broken.mp4").symlink_to("nowhere")
    os.mkfifo(recorder.folder / "pipe.mp4")
    recorder.write("z.mp4", age=SETTLE)
    assert recorder.all() == ["z.mp4"]


def test_the_newest_is_complete_when_it_was_not_written_to_for_a_while(recorder: Recorder) -> None:
    recorder.write("a.mp4")
    for _ in range(3):
        assert recorder.next() is None
        recorder.clock.sleep(SETTLE - 0.5)
        recorder.write("a.mp4")
    recorder.clock.sleep(SETTLE)
    assert recorder.all() == ["a.mp4"]


def test_one_that_is_still_written_holds_back_those_after_it(recorder: Recorder) -> None:
    recorder.write("a.mp4")
    recorder.write("b.mp4", age=SETTLE)
    assert recorder.next() is None
    recorder.clock.sleep(POLL / 2)
    recorder.write("a.mp4")
    assert recorder.next() is None
    recorder.clock.sleep(POLL)
    assert recorder.all() == ["a.mp4", "b.mp4"]


def test_a_writer_whose_clock_is_ahead_is_waited_for_by_ours(recorder: Recorder) -> None:
    recorder.write("a.mp4", age=-3600)
    assert recorder.next() is None
    recorder.clock.sleep(SETTLE - 0.5)
    assert recorder.next() is None
    recorder.clock.sleep(0.5)
    assert recorder.all() == ["a.mp4"]


def test_one_that_is_renamed_into_place_is_seen(recorder: Recorder) -> None:
    recorder.write("b.mp4.part", age=SETTLE)
    assert recorder.all() == []
    (recorder.folder / "b.mp4.part").rename(recorder.folder / "b.mp4")
    assert recorder.all() == ["b.mp4"]


def test_none_is_taken_twice_whatever_happens_to_it(recorder: Recorder) -> None:
    path = recorder.write("a.mp4", age=SETTLE)
    assert recorder.all() == ["a.mp4"]
    recorder.write("a.mp4", age=SETTLE)
    path.rename(recorder.folder / "a.away")
    assert recorder.all() == []
    (recorder.folder / "a.away").rename(path)
    assert recorder.all() == []


def test_one_with_an_earlier_name_is_taken_too(recorder: Recorder) -> None:
    recorder.write("b.mp4", age=SETTLE)
    assert recorder.all() == ["b.mp4"]
    recorder.write("a.mp4", age=SETTLE)
    assert recorder.all() == ["a.mp4"]
    assert recorder.taken.last == "b.mp4"


def test_what_an_earlier_worker_took_is_not_taken_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, taken=Taken(passed="seg9.mp4", last="seg9.mp4"))
    for number in (8, 9, 10):
        recorder.write(f"seg{number}.mp4", age=SETTLE)
    assert recorder.all() == ["seg10.mp4"]
    again = Recorder(tmp_path, taken=recorder.taken)  # the folder was away, and is opened again
    again.write("seg9b.mp4", age=SETTLE)
    assert again.all() == ["seg9b.mp4"]


def test_a_change_that_the_time_stamp_hides_is_found_all_the_same(recorder: Recorder) -> None:
    recorder.write("a.mp4", age=SETTLE)
    assert recorder.all() == ["a.mp4"]
    before = recorder.folder.stat()
    recorder.write("b.mp4", age=SETTLE)
    os.utime(recorder.folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert recorder.next() is None
    found = [recorder.next() for _ in range(LOOK_AGAIN)]
    assert "b.mp4" in found


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"gate: .*gone/ is no folder that is there"):
        Recorder(tmp_path / "gone").next()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceNotFound):
        Recorder(tmp_path / "file").next()


def test_a_folder_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "rec")
    recorder.folder.mkdir()
    recorder.write("a.mp4", age=SETTLE)
    assert recorder.all() == ["a.mp4"]
    recorder.folder.rename(tmp_path / "away")
    with pytest.raises(SourceNotFound):
        recorder.next()
    (tmp_path / "away").rename(recorder.folder)
    recorder.write("b.mp4", age=SETTLE)
    assert recorder.all() == ["b.mp4"]


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_folder_whose_name_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceUnreachable, match="cannot be looked into"):
        Recorder(tmp_path / name).next()


def test_a_folder_outside_the_root_is_not_looked_into(tmp_path: Path) -> None:
    for name in ("root", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(AddressError, match=r"gate: .*link.* lies outside files_root"):
        Recorder(tmp_path / "root" / "link", files_root=str(tmp_path / "root")).next()


def test_many_segments_take_little_memory_and_no_listing_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files, old ones: the folder is listed once for every `MOST_AT_ONCE`, not once for each of them."""
    count = 3_000
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for number in range(count):
        os.close(os.open(f"s{number}.ts", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    listings = []
    really = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listings.append(path) or really(path))
    recorder = Recorder(tmp_path)
    recorder.clock.sleep(SETTLE + 3600)
    tracemalloc.start()
    taken = [recorder.next() for _ in range(MOST_AT_ONCE + 5)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken == [f"s{number}.ts" for number in range(MOST_AT_ONCE + 5)]
    assert len(listings) == 2
    assert peak < 2 << 20


def test_names_of_files_that_are_gone_for_good_are_forgotten(recorder: Recorder) -> None:
    for number in range(2 * MOST_AT_ONCE):
        recorder.write(f"s{number}.ts", age=SETTLE).unlink()
        recorder.taken.names.add(f"s{number}.ts")
    recorder.write("t.ts", age=SETTLE)
    assert recorder.all() == ["t.ts"]
    assert recorder.taken.names == {"t.ts"}
