"""A track's life as events: when it is told of, what is told, and that it ends once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import ExportConfig
from pipeline.messages import FrameResult, Gap, SourceStatus, TrackState
from stages.publish.events import TrackEvent, TrackEvents, iou
from stages.publish.export import ExportSink
from stages.publish.formats import FORMATS, to_frigate
from tests.stages.publish.scenes import CAR, PERSON, result, tracked

START_NS = 1_700_000_000_000_000_000
BOX = (100.0, 20.0, 160.0, 90.0)


def frame(
    seconds: float,
    *tracks: tuple[int, tuple[float, ...]],
    epoch: int = 1,
    score: float = 0.9,
    state: TrackState = TrackState.CONFIRMED,
    label: int = PERSON,
    source_id: str = "door",
) -> FrameResult:
    """A result `seconds` after the start with these tracks, (id, box) each."""
    count = len(tracks)
    detections, table = tracked(
        [box for _, box in tracks],
        ids=[id_ for id_, _ in tracks],
        labels=[label] * count,
        states=[state] * count,
    )
    table.scores[:] = score
    return result(
        detections=detections,
        tracks=table,
        epoch=epoch,
        source_id=source_id,
        capture_time_ns=START_NS + round(seconds * 1e9),
    )


def told(events: TrackEvents, *items: FrameResult | Gap | SourceStatus) -> list[tuple[str, int]]:
    return [(event.type, event.after.track_id) for item in items for event in events.take(item)]


def moved(box: tuple[float, ...], by: float) -> tuple[float, ...]:
    return (box[0] + by, box[1], box[2] + by, box[3])


def test_a_track_is_new_when_it_is_confirmed() -> None:
    events = TrackEvents()
    assert told(events, frame(0, (0, BOX), state=TrackState.TENTATIVE)) == []
    assert told(events, frame(1, (1, BOX)), frame(1.1, (1, BOX))) == [("new", 1)]


def test_a_track_that_is_not_seen_for_a_while_goes_on() -> None:
    events = TrackEvents()
    assert told(events, frame(0, (1, BOX)), frame(1, (1, BOX), state=TrackState.LOST)) == [("new", 1)]
    (update,) = events.take(frame(2, (1, moved(BOX, 40))))
    assert (update.type, update.after.start_time_ns, update.before.box) == ("update", START_NS, BOX)


def test_a_track_lost_for_good_ends_when_it_was_seen_last() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)), frame(2, (1, BOX)), frame(3, (1, moved(BOX, 50)), state=TrackState.LOST))
    (end,) = events.take(frame(4))
    assert end.type == "end"
    assert end.after.end_time_ns == end.after.frame_time_ns == START_NS + 2_000_000_000
    assert end.after.box == BOX  # not where it was thought to be
    assert told(events, frame(5)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"score": 0.85}, []),
        ({"score": 0.79}, [("update", 1)]),
        ({"by": 5.0}, []),  # overlaps by 0.85
        ({"by": 8.0}, [("update", 1)]),  # by 0.76
    ],
)
def test_an_update_tells_of_a_notable_change(change: dict[str, float], expected: list[tuple[str, int]]) -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)))
    now = frame(1, (1, moved(BOX, change.get("by", 0.0))), score=change.get("score", 0.9))
    assert told(events, now) == expected


def test_updates_come_once_a_second_at_most() -> None:
    events = TrackEvents()
    times = [0.04 * i for i in range(100)]
    seen = [(t, kind) for t in times for kind, _ in told(events, frame(t, (1, moved(BOX, 400 * t))))]
    assert [kind for _, kind in seen] == ["new", "update", "update", "update"]
    assert [round(t, 2) for t, _ in seen] == [0.0, 1.0, 2.0, 3.0]


def test_what_changed_within_the_second_is_told_after_it() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)))
    assert told(events, frame(0.5, (1, moved(BOX, 50)))) == []
    assert told(events, frame(1.0, (1, moved(BOX, 50)))) == [("update", 1)]


def test_a_track_that_does_nothing_is_told_of_when_it_comes_to_rest_and_once_a_minute() -> None:
    events = TrackEvents()
    seen = [(t, event) for t in range(140) for event in events.take(frame(t, (1, BOX)))]
    assert [(t, event.type, event.after.stationary) for t, event in seen] == [
        (0, "new", False),
        (10, "update", True),
        (70, "update", True),
        (130, "update", True),
    ]
    (event,) = events.take(frame(140, (1, moved(BOX, 40))))
    assert (event.after.stationary, event.after.moves, event.after.still_frames) == (False, 1, 0)
    assert event.before.still_frames == 130


def test_a_box_that_trembles_is_at_rest() -> None:
    events = TrackEvents()
    seen = [e for t in range(12) for e in events.take(frame(t, (1, moved(BOX, 4.0 * (t % 2)))))]
    assert [event.after.stationary for event in seen] == [False, True]


def test_the_top_score_is_kept() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX), score=0.6), frame(1, (1, BOX), score=0.95))
    (event,) = events.take(frame(2, (1, BOX), score=0.5))
    assert (event.after.score, event.after.top_score) == (pytest.approx(0.5), pytest.approx(0.95))


def test_a_new_epoch_ends_all_and_counts_ids_anew() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX), (2, BOX)))
    assert told(events, frame(5, (1, BOX), epoch=2)) == [("end", 1), ("end", 2), ("new", 1)]


def test_what_comes_late_of_an_epoch_that_is_over_means_nothing() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX), epoch=2))
    assert told(events, frame(9, (7, BOX), epoch=1)) == []


@pytest.mark.parametrize("state", ["FAULTED", "CONNECTING", "PAUSED", "ENDED", "REMOVED", "NO_DECODABLE_FRAMES"])
def test_a_source_whose_session_is_over_ends_its_tracks_and_no_others(state: str) -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)), frame(0, (1, BOX), source_id="yard"))
    assert told(events, SourceStatus("door", state, epoch=1)) == [("end", 1)]
    assert told(events, SourceStatus("door", state, epoch=1)) == []
    assert [event.after.source_id for event in events.end_all()] == ["yard"]


@pytest.mark.parametrize("state", ["STREAMING", "STALLED"])
def test_a_source_that_goes_on_ends_nothing(state: str) -> None:
    events = TrackEvents()
    assert told(events, frame(0, (1, BOX)), SourceStatus("door", state, epoch=1), Gap("door", 1, 1, 3, "late")) == [
        ("new", 1)
    ]


def test_a_session_is_not_over_before_its_last_results_have_come() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)))
    assert told(events, SourceStatus("door", "ENDED", epoch=1, in_flight=1)) == []
    told(events, frame(2, (1, BOX)))
    (end,) = events.take(SourceStatus("door", "ENDED", epoch=1))
    assert end.after.end_time_ns == START_NS + 2_000_000_000


def test_results_that_were_on_their_way_when_the_session_ended_start_nothing_twice() -> None:
    events = TrackEvents()
    told(events, frame(0, (1, BOX)), SourceStatus("door", "FAULTED", epoch=1))
    assert told(events, frame(0.1, (1, BOX))) == []
    assert told(events, frame(0.2, (1, BOX), (2, BOX))) == [("new", 2)]
    assert told(events, frame(4, (1, BOX), epoch=2)) == [("end", 2), ("new", 1)]


def test_an_event_s_identity_is_its_own() -> None:
    events = TrackEvents()
    seen: list[TrackEvent] = []
    for t in range(5):
        seen += events.take(frame(t, (1, moved(BOX, 30.0 * t)), (2, BOX)))
    seen += events.take(frame(9, (1, BOX), epoch=2)) + events.end_all()
    identities = [event.identity for event in seen]
    assert identities[:3] == ["door/1/1/0", "door/1/2/0", "door/1/1/1"]
    assert len(set(identities)) == len(identities)


def test_overlap() -> None:
    assert iou(BOX, BOX) == 1.0
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


def test_in_the_shape_of_frigate() -> None:
    events = TrackEvents()
    (new,) = events.take(frame(0.25, (4, (99.6, 20.2, 160.4, 90.0)), label=CAR))
    after = {
        "id": "1700000000.250000-door-1-4",
        "camera": "door",
        "frame_time": 1700000000.25,
        "snapshot": None,
        "label": "car",
        "sub_label": None,
        "top_score": 0.9,
        "false_positive": False,
        "start_time": 1700000000.25,
        "end_time": None,
        "score": 0.9,
        "box": [100, 20, 160, 90],
        "area": 4200,
        "ratio": 0.86,
        "region": [0, 0, 320, 180],
        "active": True,
        "stationary": False,
        "motionless_count": 0,
        "position_changes": 0,
        "current_zones": [],
        "entered_zones": [],
        "has_clip": False,
        "has_snapshot": False,
        "attributes": {},
        "current_attributes": [],
    }
    assert to_frigate(new) == {"type": "new", "before": after | {"false_positive": True}, "after": after}
    (end,) = events.end_all()
    assert to_frigate(end) == {"type": "end", "before": after, "after": after | {"end_time": 1700000000.25}}


def test_a_box_of_no_height_has_no_ratio() -> None:
    (new,) = TrackEvents().take(frame(0, (1, (10, 10, 20, 10.2))))
    assert (to_frigate(new)["after"]["ratio"], to_frigate(new)["after"]["area"]) == (0.0, 0)


def test_a_file_of_events_ends_with_every_track(tmp_path: Path) -> None:
    sink = ExportSink("frigate", tmp_path / "events.jsonl")
    sink.write(frame(0, (1, BOX)))
    sink.write(replace(frame(1, (1, BOX)), gap_before=3))
    sink.close()
    sink.close()
    assert [json.loads(line)["type"] for line in (tmp_path / "events.jsonl").read_text().splitlines()] == ["new", "end"]


def test_every_format_has_a_setting() -> None:
    assert set(FORMATS) == set(ExportConfig.__struct_fields__)
