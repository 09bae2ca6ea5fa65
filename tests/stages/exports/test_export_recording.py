"""All exports: files that are whole or not there, the same bytes again, and words on what goes wrong."""

from __future__ import annotations

import shutil
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.build import export_files, export_recording
from pipeline.config import SourceConfig
from pipeline.errors import ConfigError, SinkError, SourceError, WireError
from pipeline.footage.exporting import missing
from stages.exports import EXPORTS
from stages.exports.place import Part
from tests.stages.exports.recordings import Recording, export, files_of, results_in, without_objects

pytest.importorskip("pyarrow", reason="needs pyarrow")
ALL = tuple(EXPORTS)


def tops(folder: Path) -> set[str]:
    return {path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()}


def test_each_writes_the_files_it_names_and_no_other(small: Recording, tmp_path: Path) -> None:
    for name, kind in EXPORTS.items():
        folder = small.into(tmp_path / name, name)
        assert tops(folder) == {"results.jsonl", *kind.files}
        assert missing(export_files(ALL), folder) == [other for other in ALL if other not in ("jsonl", name)]
    folder = small.into(tmp_path / "all", *ALL)
    assert missing(export_files(ALL), folder) == []
    for name in ALL:
        alone = files_of(tmp_path / name)
        assert {path: content for path, content in files_of(folder).items() if path in alone} == alone


def test_the_same_results_give_the_same_bytes(two_sizes: Recording, tmp_path: Path) -> None:
    first, second = (two_sizes.into(tmp_path / str(i), *ALL) for i in range(2))
    assert files_of(first) == files_of(second)
    before = files_of(first)
    (first / "panoptic" / "left.png").touch()  # of an earlier export
    export(first, two_sizes.video, *ALL)
    assert files_of(first) == before


def test_all_at_once_on_real_results(crossing: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    shutil.copy(crossing / "crossing" / "results.jsonl", tmp_path)
    export_recording(
        ["mot", "report", "mot"],
        results=tmp_path / "results.jsonl",
        folder=tmp_path,
        video=crossing / "crossing.mp4",
        source=SourceConfig(url="-", source_id="crossing"),
        tell=lambda done, total: told.append((done, total)),
        stopping=lambda: False,
    )
    assert told == [(0, 40), (16, 40), (32, 40), (40, 40)]
    assert tops(tmp_path) == {"results.jsonl", "mot/", "report.html"}


def test_one_that_is_stopped_leaves_what_was_there(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, *ALL)
    before = files_of(folder)
    for moment in (1, 5, 20, 28):
        asked = 0

        def stopping(moment: int = moment) -> bool:
            nonlocal asked
            asked += 1
            return asked >= moment

        export(folder, small.video, *ALL, stopping=stopping)
        assert files_of(folder) == before
        assert asked == moment
    empty = small.into(tmp_path / "empty", *ALL, stopping=lambda: True)
    assert tops(empty) == {"results.jsonl"}


def test_what_a_killed_run_left_is_removed(small: Recording, tmp_path: Path) -> None:
    (tmp_path / ".panoptic.part").mkdir()
    (tmp_path / ".panoptic.part" / "000000099.png").touch()
    for name in (".coco.json.part", ".annotated.drawn.mp4.part", ".objects.parquet.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".mot.old").mkdir()
    folder = small.into(tmp_path, *ALL)
    assert tops(folder) == {"results.jsonl", *(file for kind in EXPORTS.values() for file in kind.files)}
    assert "panoptic/000000099.png" not in files_of(folder)


def test_a_folder_that_was_being_replaced_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / ".mot.old").mkdir()
    (tmp_path / ".mot.old" / "seqinfo.ini").write_text("old")
    Part(tmp_path / "mot")
    assert (tmp_path / "mot" / "seqinfo.ini").read_text() == "old"


def test_names_that_are_unknown_are_refused(small: Recording, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"export: 'csv' is unknown; jsonl, parquet, coco, coco-panoptic, mot, video"):
        small.into(tmp_path, "mot", "csv")
    assert tops(tmp_path) == {"results.jsonl"}
    with pytest.raises(ConfigError, match="'csv'"):
        export_files(["csv"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, small: Recording, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("stages.exports.kinds.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"export: parquet needs the package pyarrow.*'everyframe\[parquet\]'"):
        export_files(["parquet"])
    with pytest.raises(ConfigError, match="pyarrow"):
        small.into(tmp_path, "coco", "parquet")
    assert tops(tmp_path) == {"results.jsonl"}


def test_what_cannot_be_written_or_read_is_named(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path)
    for name in ALL[1:]:
        with pytest.raises(SinkError, match=r"nowhere/\S+: cannot be written: No such file or directory"):
            export_recording(
                [name],
                results=folder / "results.jsonl",
                folder=tmp_path / "nowhere",
                video=small.video,
                source=SourceConfig(url="-", source_id="clip"),
                tell=lambda done, total: None,
                stopping=lambda: False,
            )
    for name in ("video", "report"):
        with pytest.raises(SourceError, match="does not exist"):
            export(folder, tmp_path / "none.mp4", name)
    (folder / "results.jsonl").unlink()
    with pytest.raises(SinkError, match=r"results\.jsonl: cannot be read: No such file"):
        export(folder, small.video, "coco")
    assert tops(folder) == set()


@pytest.mark.parametrize("line", ['{"type": "result"}', '{"type": "gap"', "[]", '{"type": "status"}', ""])
def test_a_line_that_is_no_result_is_named(line: str, small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path)
    with (folder / "results.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(WireError, match=r"results\.jsonl, line 13: "):
        export(folder, small.video, *ALL)
    assert tops(folder) == {"results.jsonl"}


def test_a_full_disk_is_told_and_leaves_nothing(
    small: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stages.exports.place.to_disk", full)
    for name in ALL[1:]:
        with pytest.raises(SinkError, match=r"cannot be written: No space left on device; free or choose another"):
            small.into(tmp_path / name, name)
        assert tops(tmp_path / name) == {"results.jsonl"}


def test_memory_does_not_grow_with_the_recording(
    small: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.exports.parquet.GROUP_ROWS", 64)
    monkeypatch.setattr("stages.exports.lines.BLOCK_BYTES", 4096)
    first = results_in(small.items)[0]
    names = ("parquet", "coco", "coco-panoptic", "mot")

    def peak(frames: int) -> int:
        items = tuple(replace(first, seq=i, pts=i, capture_time_ns=i * 40_000_000) for i in range(frames))
        folder = replace(small, items=items).into(tmp_path / str(frames))
        del items
        tracemalloc.start()
        try:
            export(folder, small.video, *names)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)  # what is imported and kept the first time
    few, many = peak(60), peak(300)
    assert many - few < 100_000  # the lines alone are 380 kB more, and what is made of them several times that


def test_a_recording_without_objects(small: Recording, tmp_path: Path) -> None:
    empty = tuple(without_objects(result) for result in results_in(small.items))
    folder = Recording(small.video, empty).into(tmp_path, *ALL)
    assert missing(export_files(ALL), folder) == []
