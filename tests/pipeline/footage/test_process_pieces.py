"""`everyframe process` on what is cut, chosen and joined: the same results however many look at it."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pipeline.footage import cutting
from tests.pipeline.cli.command_line import ROOT
from tests.pipeline.footage.test_process_command import kept, process

WIDTH, HEIGHT, FRAMES, KEYS = 416, 234, 110, 11
UNCUT = 10**6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of several groups of pictures, whose own times begin at 3 s."""
    import av

    path = tmp_path_factory.mktemp("clip") / "20261126_103015.mkv"
    with av.open(str(path), "w") as container, av.open(str(ROOT / "samples" / "crossing" / "crossing.mp4")) as sample:
        options = {"g": str(KEYS), "bf": "3", "x264-params": "open-gop=1:scenecut=0"}
        stream: Any = container.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(islice(sample.decode(video=0), FRAMES)):
            frame = picture.reformat(width=WIDTH, height=HEIGHT, format="yuv420p")
            frame.pts, frame.time_base = 30 + number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def results(directory: Path, *arguments: str) -> list[dict[str, Any]]:
    """What the command leaves in the only folder of results."""
    done = process(*arguments, "-q", "--output", str(directory))
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = directory.glob("*/results.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_same_bytes_cut_or_not(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.yaml").write_text("batch: {max_batch: 8}\n")
    results(tmp_path / "cut", str(clip), "--workers", "4", "--config", str(tmp_path / "settings.yaml"))
    monkeypatch.setattr(cutting, "FEWEST_FRAMES", UNCUT)
    monkeypatch.setattr(cutting, "PIECE_FRAMES", UNCUT)
    whole = results(tmp_path / "whole", str(clip), "--workers", "1")
    assert len(whole) == FRAMES
    assert kept(tmp_path / "cut") == kept(tmp_path / "whole")
    assert any(one["tracks"] for one in whole), "there must be something to join"


def plain(directory: Path, *arguments: str) -> list[dict[str, Any]]:
    """Without a network, which is as good where frames alone count."""
    return results(directory, *arguments, "--detector", "none")


def test_a_time_of_it_keeps_its_own_time(clip: Path, tmp_path: Path) -> None:
    every = plain(tmp_path / "all", str(clip))
    some = plain(tmp_path / "some", str(clip), "--from", "0:03", "--to", "7.5")
    assert [one["seq"] for one in some] == list(range(45))
    for ours, theirs in zip(some, every[30:75], strict=True):
        assert (ours["pts"], ours["capture_time_ns"]) == (theirs["pts"], theirs["capture_time_ns"])
    beyond = process(str(clip), "--from", "90", "-q", "--output", str(tmp_path / "none"))
    assert (beyond.returncode, "nothing of the time that is asked for" in beyond.stderr) == (1, True)
    turned = process(str(clip), "--from", "9", "--to", "8", "-q", "--output", str(tmp_path / "none"))
    assert (turned.returncode, "--to is 8 s, and --from 9 s" in turned.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [(["--every", "4"], [i % 4 == 0 for i in range(FRAMES)]), (["--fps", "5"], [i % 2 == 0 for i in range(FRAMES)])],
)
def test_some_frames_are_analysed_and_all_are_there(
    arguments: list[str], wanted: list[bool], clip: Path, tmp_path: Path
) -> None:
    found = plain(tmp_path / "cut", str(clip), *arguments, "--workers", "3")
    assert [one["analysed"] for one in found] == wanted
    if "--fps" in arguments:
        return  # without time stamps it would be as many as FFmpeg thinks
    raw = tmp_path / "raw.h264"
    _remux(clip, raw)
    assert [one["analysed"] for one in plain(tmp_path / "raw", str(raw), *arguments)] == wanted


def _remux(clip: Path, raw: Path) -> None:
    import av

    with av.open(str(clip)) as source, av.open(str(raw), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)


def test_keyframes_alone(clip: Path, tmp_path: Path) -> None:
    found = plain(tmp_path / "keys", str(clip), "--keyframes")
    assert len(found) == FRAMES // KEYS
    assert [one["seq"] for one in found] == list(range(len(found)))


def test_segments_of_one_camera_are_one_source(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    for name in ("20261126_103026.mkv", "20261126_103015.mkv", "20261126_103200.mkv"):
        shutil.copy(clip, folder / name)
    found = results(tmp_path / "results", str(folder), "--one-source", "gate", "--to", "2")
    assert {(one["source_id"], one["epoch"]) for one in found} == {("gate", 1)}
    assert [one["seq"] for one in found] == list(range(60))
    times = [one["capture_time_ns"] for one in found]
    assert times == sorted(times)
    assert [i for i, one in enumerate(found) if one["discontinuity"]] == [40], "more than a pause after the second"
    first, second = (tracks_of(found[start : start + 20]) for start in (0, 20))
    assert first, "there must be something to follow"
    assert max(first) <= max(second), "numbers of tracks go on"


def tracks_of(found: list[dict[str, Any]]) -> set[int]:
    return {track["id"] for one in found for track in one["tracks"]}


def test_a_segment_that_cannot_be_read_is_named_and_the_others_are_joined(clip: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "segments", tmp_path / "results"
    folder.mkdir()
    shutil.copy(clip, folder / "20261126_103015.mkv")
    (folder / "20261126_103026.mkv").write_bytes(b"nothing of the kind" * 99)
    shutil.copy(clip, folder / "20261126_103200.mkv")
    settings = [str(folder), "--one-source", "gate", "--keyframes", "--detector", "none", "--output", str(target)]
    for said in ("done", "kept"):
        done = process(*settings)
        assert done.returncode == 1
        assert "20261126_103026.mkv" in done.stderr
        assert f"gate: {said}" in done.stdout
        assert "1 segments refused" in done.stdout
    (gate,) = json.loads((target / "report.json").read_text())["recordings"]
    assert (gate["state"], gate["counts"]["results"], len(gate["refused"])) == ("kept", 20, 1)
