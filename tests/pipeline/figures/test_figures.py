"""What stored results come to: cases worked by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import watch_zones
from pipeline.config.zones import ZonesConfig
from pipeline.errors import ConfigError, UsageError, WireError
from pipeline.figures.ask import Question, answer
from pipeline.figures.document import Document
from pipeline.figures.period import chosen_every, duration_ns, every_of, moment_of
from pipeline.messages import FrameResult, Gap
from stages.publish.jsonl import JsonLinesSink
from tests.stages.publish.scenes import CAR, PERSON
from tests.stages.zones.moves import LINE, SQUARE, START_NS, frame, zones

SECOND = 10**9
IN, OUT = (150.0, 90.0), (50.0, 90.0)


def written(folder: Path, items: Iterable[FrameResult | Gap]) -> Path:
    sink = JsonLinesSink(folder)
    for item in items:
        sink.write(item)
    sink.close()
    return folder


def asked(folder: Path, config: ZonesConfig | None = None, *, every: str = "1s", **more: Any) -> Document:
    return answer(
        Question(
            directory=str(folder),
            zones=config,
            zones_file=None if config is None else "zones.yaml",
            every_ns=every_of(every),
            watch=watch_zones,
            **more,
        )
    )


def at(seq: int, seconds: float, *places: Any, **changes: Any) -> FrameResult:
    return frame(seq, *places, capture_time_ns=SECOND * 10**9 + round(seconds * SECOND), **changes)


def test_counts_and_dwell_by_class_over_time(tmp_path: Path) -> None:
    # A car for 1 s; two persons at 0.5 s, then one of them until 2 s. Frames every half second.
    one, two, car = (1, IN), (2, OUT), (3, IN)
    frames = [
        at(0, 0.0, one, car, labels=(PERSON, CAR)),
        at(1, 0.5, one, two, car, labels=(PERSON, PERSON, CAR)),
        at(2, 1.0, one, car, labels=(PERSON, CAR)),
        at(3, 1.5, one),
        at(4, 2.0, one),
    ]
    part = asked(written(tmp_path, frames)).overall
    assert (part.frames, part.epochs, part.gap_frames, part.observed_seconds) == (5, 1, 0, 2.5)
    person, car_part = part.classes
    assert (person.class_name, person.tracks, person.most_at_once) == ("person", 2, 2)
    assert person.mean_at_once == 1.2  # (1 + 2 + 1 + 1 + 1) frames of half a second
    assert (person.dwell.median_seconds, person.dwell.longest_seconds) == (1.0, 2.0)  # 0 s and 2 s
    assert (car_part.class_name, car_part.tracks, car_part.dwell.longest_seconds) == ("car", 1, 1.0)
    seconds = [{c.class_name: (c.tracks, c.most_at_once, c.mean_at_once) for c in b.classes} for b in part.bins]
    assert seconds == [
        {"person": (2, 2, 1.5), "car": (1, 1, 1.0)},
        {"person": (1, 1, 1.0), "car": (1, 1, 0.5)},
        {"person": (1, 1, 1.0)},
    ]
    assert [b.observed_seconds for b in part.bins] == [1.0, 1.0, 0.5]


def test_lines_and_zones_and_what_is_between_two_frames_with_a_gap_is_not_known(tmp_path: Path) -> None:
    frames: list[FrameResult | Gap] = [
        at(0, 0.0, (1, OUT), (2, (150.0, 80.0))),
        at(1, 0.5, (1, IN), (2, (150.0, 100.0))),
        at(2, 1.0, (1, IN), (2, (150.0, 80.0))),
        Gap("door", 1, 3, 10, "backlog"),
        at(11, 5.0, (1, IN), gap_before=8),
        at(12, 5.5, (1, OUT)),
    ]
    config = zones(lines=[LINE], zones=[SQUARE])
    part = asked(written(tmp_path, frames), config).overall
    assert (part.gap_frames, part.observed_seconds) == (8, 2.5)
    assert [(one.direction, one.count, one.classes) for one in part.lines] == [
        ("down", 1, {"person": 1}),
        ("up", 1, {"person": 1}),
    ]
    (zone,) = part.zones
    # Held for half a second each: 1 (of 2), 2, 2, [the gap], 1, 0; both were in it when track 2 ended.
    assert (zone.most_at_once, zone.mean_at_once, zone.occupied_share) == (2, pytest.approx(6 / 5), 0.8)
    assert (zone.visits.count, zone.visits.longest_seconds) == (2, 4.5)
    (person,) = zone.classes
    assert (person.visits.count, person.tracks.count, person.visits.median_seconds) == (2, 2, (4.5 + 1.0) / 2)
    assert [(one.direction, one.count) for b in part.bins for one in b.lines] == [("down", 1), ("up", 1)]


def test_visits_of_one_track_add_up(tmp_path: Path) -> None:
    way = [OUT, IN, IN, OUT, IN, OUT, OUT]
    frames = [at(i, i * 0.5, (1, place)) for i, place in enumerate(way)]
    (zone,) = asked(written(tmp_path, frames), zones(zones=[SQUARE])).overall.zones
    assert (zone.visits.count, zone.visits.longest_seconds) == (2, 0.5)
    assert (zone.classes[0].tracks.count, zone.classes[0].tracks.longest_seconds) == (1, 0.5)


def test_an_epoch_ends_every_track_and_its_ids_begin_anew(tmp_path: Path) -> None:
    frames = [at(0, 0, (1, IN)), at(1, 0.5, (1, IN)), at(0, 5, (1, IN), epoch=2), at(1, 6, (1, IN), epoch=2)]
    part = asked(written(tmp_path, frames), zones(zones=[SQUARE]), every="1m").overall
    assert (part.epochs, part.classes[0].tracks, part.classes[0].dwell.longest_seconds) == (2, 2, 1.0)
    assert (part.bins[0].classes[0].tracks, part.zones[0].visits.count) == (2, 2)
    assert part.observed_seconds == 0.5 + 0.5 + 1 + 1  # the last of an epoch holds as long as the one before


def test_several_sources_are_told_apart_and_together(tmp_path: Path) -> None:
    for name in ("gate", "yard"):
        written(tmp_path / name, [at(i, i * 0.5, (1, IN), source_id=name) for i in range(4)])
    (tmp_path / ".gate.part").mkdir()
    (tmp_path / ".gate.part" / "results.jsonl").write_text("not yet\n")
    document = asked(tmp_path, zones(zones=[{**SQUARE, "sources": ["gate"]}]))
    assert [(part.recording, part.source_id, len(part.zones)) for part in document.recordings] == [
        ("gate", "gate", 1),
        ("yard", "yard", 0),
    ]
    assert (document.overall.frames, document.overall.classes[0].tracks, document.overall.classes[0].most_at_once) == (
        8,
        2,
        1,
    )
    assert document.overall.classes[0].mean_at_once == 1.0


def test_several_sources_in_one_file_are_told_apart(tmp_path: Path) -> None:
    mixed = [at(i // 2, i // 2 * 0.5, (1, IN), source_id=("a", "b")[i % 2]) for i in range(8)]
    assert [(part.source_id, part.frames) for part in asked(written(tmp_path, mixed)).recordings] == [
        ("a", 4),
        ("b", 4),
    ]


def test_only_what_was_asked_for_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path, [at(i, i * 1.0, (i + 1, IN)) for i in range(10)])
    some = asked(folder, begin=moment_of("3s", option="--from"), end=moment_of("6s", option="--to"))
    assert (some.overall.frames, some.overall.classes[0].tracks) == (3, 3)
    day = asked(folder, begin=moment_of("2001-09-09T01:46:47", option="--from"))  # 10**9 s after 1970, and 7
    assert day.overall.frames == 3
    with pytest.raises(UsageError, match="no result is in it from 1h"):
        asked(folder, begin=moment_of("1h", option="--from"))


def test_a_line_that_is_being_written_is_left_out_and_one_that_is_not_ours_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, [at(i, i * 1.0) for i in range(3)])
    file = folder / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:100])
    assert asked(folder).overall.frames == 3
    for bad in (b"{}\n", b"[1]\n", b"\n", b'{"type":"result","schema":"9.0"}\n', b'{"type":"gap"}\n', b"\xff\n"):
        file.write_bytes(whole + bad + whole)
        with pytest.raises(WireError, match=r"results\.jsonl, line 4: not a result"):
            asked(folder)


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        asked(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no results\.jsonl is in it"):
        asked(tmp_path)
    folder = written(tmp_path, [at(i, i * 1.0, (1, IN)) for i in range(3)])
    with pytest.raises(ConfigError, match=r"lines\[0\]\.classes: 'persn' is no class of door's model; person, car are"):
        asked(folder, zones(lines=[{**LINE, "classes": ["persn"]}]))
    with pytest.raises(ConfigError, match="no line and no zone lies in one of those there are: door"):
        asked(folder, zones(lines=[{**LINE, "sources": ["gate"]}]))
    with pytest.raises(UsageError, match=r"--every: 0\.001s would make 2001 pieces"):
        asked(folder, every="0.001s", most_pieces=1000)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m", 60), ("1h30m", 5400), ("0.5s", 0.5), ("1d", 86_400), ("90m", 5400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration_ns(text, option="--every") == seconds * SECOND


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1x", "-5s", "1m5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        duration_ns(text, option="--every")


def test_times_are_read() -> None:
    assert moment_of("1970-01-01T00:01", option="--from").of(0) == 60 * SECOND
    assert moment_of("1970-01-01T01:01+01:00", option="--from").of(5) == 60 * SECOND
    assert moment_of("1m", option="--from").of(START_NS) == START_NS + 60 * SECOND
    for text, seconds in (("90", 90), ("1:30", 90), ("0:01:30.5", 90.5), ("1h30m", 5400)):
        assert moment_of(text, option="--from").of(START_NS) == START_NS + round(seconds * SECOND)
    for text in ("noon", "1:75", "2026-13-01"):
        with pytest.raises(UsageError, match=f"--to: '{text}' is no time"):
            moment_of(text, option="--to")


def test_a_round_length_is_chosen() -> None:
    assert [chosen_every(s) // SECOND for s in (0, 14, 60, 61, 3600, 3601, 86_400, 10**9)] == [
        1, 1, 1, 2, 60, 120, 1800, 86_400
    ]  # fmt: skip
