"""Lines crossed and zones visited: cases worked by hand, and random walks against a slow reference."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from pipeline.messages import FrameResult, SourceStatus, ZoneEvent
from pipeline.wire import event_from_json, event_to_json, item_from_json, item_to_json
from stages.zones import ZoneWatch
from tests.stages.publish.scenes import CAR, PERSON
from tests.stages.zones import slow
from tests.stages.zones.moves import LINE, SIZE, SQUARE, START_NS, STEP_NS, frame, zones

Place = tuple[float, float]


def told(watch: ZoneWatch, *items: FrameResult | SourceStatus) -> list[ZoneEvent]:
    return [event for item in items for event in watch.take(item)]


def walk(watch: ZoneWatch, *points: Place, track: int = 1, first: int = 0) -> list[ZoneEvent]:
    return told(watch, *(frame(first + i, (track, point)) for i, point in enumerate(points)))


def crossed(events: list[ZoneEvent]) -> list[tuple[int, str | None]]:
    return [(event.seq, event.direction) for event in events if event.type == "line_crossed"]


def kinds(events: list[ZoneEvent]) -> list[tuple[str, int]]:
    return [(event.type, event.seq) for event in events]


# -- lines


def test_a_line_is_crossed_one_way_and_the_other() -> None:
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 80), (150, 100), (150, 80))) == [(1, "down"), (2, "up")]


def test_the_first_word_is_for_crossing_from_left_to_right_of_the_points() -> None:
    turned = {**LINE, "points": LINE["points"][::-1]}  # looking from right to left, down is left
    assert crossed(walk(ZoneWatch(zones(lines=[turned])), (150, 80), (150, 100))) == [(1, "up")]


def test_trembling_within_the_margin_is_no_crossing_and_then_one() -> None:
    trembling = [(150, 90 + (1.5 if i % 2 else -1.5)) for i in range(100)]  # the margin is 2 pixels
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 70), *trembling)) == []
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 70), *trembling, (150, 93))) == [(101, "down")]
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 70), *trembling, (150, 87))) == []


def test_without_a_margin_every_crossing_counts() -> None:
    trembling = [(150, 91 if i % 2 else 89) for i in range(10)]
    assert len(crossed(walk(ZoneWatch(zones(lines=[LINE], margin=0)), *trembling))) == 9


def test_a_fast_object_crosses_between_two_frames_and_beside_the_line_it_does_not() -> None:
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 20), (150, 175))) == [(1, "down")]
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (90, 20), (90, 175))) == []
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (50, 20), (110, 175))) == []  # passes its end at x 77


def test_around_the_end_and_back_across_counts_the_crossing_alone() -> None:
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (190, 70), (220, 70), (220, 110), (190, 110), (190, 70))) == [
        (4, "up")
    ]


def test_a_bend_is_crossed_once_also_through_its_very_corner() -> None:
    bent = {**LINE, "points": [[100, 80], [150, 100], [200, 80]]}
    assert crossed(walk(ZoneWatch(zones(lines=[bent], margin=0)), (150, 80), (150, 120))) == [(1, "down")]
    assert crossed(walk(ZoneWatch(zones(lines=[bent], margin=0)), (150, 120), (150, 80))) == [(1, "up")]


def test_standing_on_the_line_between_is_still_one_crossing() -> None:
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), (150, 80), (150, 90), (150, 90), (150, 100))) == [(3, "down")]


def test_a_lost_track_does_nothing_and_its_way_is_straight_where_it_is_seen_again() -> None:
    watch = ZoneWatch(zones(lines=[LINE]))
    hidden = [frame(i, (1, (150, 80 + 10 * i)), lost=(1,)) for i in (1, 2, 3)]
    assert told(watch, frame(0, (1, (150, 80))), *hidden) == []
    assert crossed(told(watch, frame(4, (1, (150, 100))))) == [(4, "down")]


def test_a_gap_is_bridged_by_a_track_and_an_epoch_by_none() -> None:
    watch = ZoneWatch(zones(lines=[LINE]))
    assert crossed(told(watch, frame(0, (1, (150, 80))), frame(50, (1, (150, 100)), gap_before=49))) == [(50, "down")]
    assert told(watch, frame(0, (1, (150, 80)), epoch=2)) == []
    late = frame(51, (1, (150, 80)))  # of the epoch before
    assert told(watch, late, frame(1, (1, (150, 81)), epoch=2)) == []


def test_the_class_decides_where_a_line_names_classes() -> None:
    watch = ZoneWatch(zones(lines=[{**LINE, "classes": ["car"]}]))
    events = told(
        watch,
        frame(0, (1, (150, 80)), (2, (160, 80)), labels=(PERSON, CAR)),
        frame(1, (1, (150, 100)), (2, (160, 100)), labels=(PERSON, CAR)),
    )
    assert [(event.track_id, event.class_name) for event in events] == [(2, "car")]


def test_the_anchor_is_the_foot_or_the_middle() -> None:
    steps = ((150, 95), (150, 105))  # the middle goes from 85 to 95
    assert crossed(walk(ZoneWatch(zones(lines=[LINE])), *steps)) == []
    assert crossed(walk(ZoneWatch(zones(lines=[LINE], anchor="centre")), *steps)) == [(1, "down")]


def test_a_picture_of_another_size_has_its_lines_at_the_same_place() -> None:
    watch = ZoneWatch(zones(lines=[LINE]))
    size = {"width": 640, "height": 360}
    assert crossed(told(watch, frame(0, (1, (300, 160)), **size), frame(1, (1, (300, 200)), **size))) == [(1, "down")]


def test_sources_that_a_line_does_not_name_are_left_alone() -> None:
    watch = ZoneWatch(zones(lines=[{**LINE, "sources": ["gate*"]}]))
    way = [(0, (150.0, 80.0)), (1, (150.0, 100.0))]
    assert told(watch, *(frame(seq, (1, at)) for seq, at in way)) == []
    assert len(told(watch, *(frame(seq, (1, at), source_id="gate-2") for seq, at in way))) == 1


# -- zones


def test_a_visit_is_entered_left_and_counted() -> None:
    events = walk(ZoneWatch(zones(zones=[SQUARE])), (50, 90), (110, 90), (150, 90), (190, 90), (250, 90))
    assert kinds(events) == [("zone_entered", 1), ("occupancy_changed", 1), ("zone_left", 4), ("occupancy_changed", 4)]
    left = events[2]
    assert (left.entered_time_ns, left.left_time_ns) == (START_NS + STEP_NS, START_NS + 3 * STEP_NS)
    assert (left.dwell_seconds, left.reason, left.place, left.track_id) == (0.08, "moved", "square", 1)
    assert [event.occupancy for event in events if event.type == "occupancy_changed"] == [1, 0]
    assert [event.identity for event in events] == ["door/1/1/0", "door/1/1/1", "door/1/4/0", "door/1/4/1"]


def test_trembling_on_the_edge_is_one_visit() -> None:
    trembling = [(100 + (1.5 if i % 2 else -1.5), 90) for i in range(40)]
    events = walk(ZoneWatch(zones(zones=[SQUARE])), (50, 90), *trembling, (50, 90))
    assert [event.type for event in events if event.track_id] == ["zone_entered", "zone_left"]


def test_a_visit_shorter_than_asked_is_none_and_a_longer_one_begins_where_it_began() -> None:
    asked = {**SQUARE, "min_dwell_seconds": 0.1}
    short = walk(ZoneWatch(zones(zones=[asked])), (50, 90), (150, 90), (150, 90), (150, 90), (50, 90))
    assert short == []
    long = walk(ZoneWatch(zones(zones=[asked])), (50, 90), *[(150, 90)] * 5, (50, 90))
    assert kinds(long)[0] == ("zone_entered", 4)
    assert long[0].entered_time_ns == START_NS + STEP_NS
    assert long[2].dwell_seconds == pytest.approx(0.16)


def test_a_visit_ends_with_the_track_when_it_was_seen_last() -> None:
    watch = ZoneWatch(zones(zones=[SQUARE]))
    events = told(
        watch,
        frame(0, (1, (150, 90))),
        frame(1, (1, (151, 90))),
        frame(2, (1, (250, 90)), lost=(1,)),  # thought to be outside
        frame(3),
    )
    assert kinds(events)[2:] == [("zone_left", 3), ("occupancy_changed", 3)]
    assert (events[2].reason, events[2].left_time_ns, events[2].box) == (
        "track_ended",
        START_NS + STEP_NS,
        (141.0, 70.0, 161.0, 90.0),
    )
    assert told(watch, frame(4)) == []


@pytest.mark.parametrize("end", ["epoch", "status", "all", "removed"])
def test_a_visit_ends_with_the_epoch_and_with_the_session_under_the_same_ids(end: str) -> None:
    watch = ZoneWatch(zones(zones=[SQUARE]))
    told(watch, frame(7, (1, (150, 90))))
    if end == "epoch":
        events = told(watch, frame(0, epoch=2))
    elif end == "all":
        events = watch.end_all()
    else:
        state = "CONNECTING" if end == "status" else "REMOVED"
        assert told(watch, SourceStatus("door", "STREAMING", 1), SourceStatus("door", "ENDED", 1, in_flight=1)) == []
        events = told(watch, SourceStatus("door", state, 1))
    assert [(event.type, event.identity) for event in events] == [
        ("zone_left", "door/1/7/2"),
        ("occupancy_changed", "door/1/7/3"),
    ]
    assert watch.end_all() == []


def test_ids_of_tracks_mean_another_one_in_the_next_epoch() -> None:
    watch = ZoneWatch(zones(zones=[SQUARE], lines=[LINE]))
    told(watch, frame(0, (1, (150, 80))))
    events = told(watch, frame(0, (1, (150, 100)), epoch=2))
    assert [event.type for event in events] == ["zone_left", "occupancy_changed", "zone_entered", "occupancy_changed"]


def test_two_zones_with_a_common_edge_hold_a_point_on_it_once() -> None:
    other = {"name": "other", "points": [[200, 60], [300, 60], [300, 120], [200, 120]]}
    watch = ZoneWatch(zones(zones=[SQUARE, other]))
    told(watch, frame(0, (1, (200, 90))))
    assert sum(watch.occupancy("door").values()) == 1


def test_nothing_happens_where_there_is_nobody_or_nothing() -> None:
    watch = ZoneWatch(zones(zones=[{**SQUARE, "sources": ["elsewhere"]}]))
    assert told(watch, frame(0), frame(1, (1, (150, 90)))) == []
    assert watch.end_all() == []
    assert watch.occupancy("nowhere") == {}


# -- against the reference


LINES: list[list[Place]] = [[(60, 90), (260, 95)], [(100, 30), (150, 150), (220, 40), (230, 160)]]
POLYGONS: list[list[Place]] = [
    [(80, 40), (240, 50), (250, 140), (160, 90), (70, 150)],  # not convex
    [(10, 10), (310, 10), (310, 170), (10, 170)],
]


def random_walk(random_: random.Random, frames: int) -> list[Place]:
    """Slow and fast, on a grid of a hundredth of a pixel, sometimes on a corner or along an edge."""
    x, y = random_.uniform(0, 320), random_.uniform(0, 180)
    walked = []
    for _ in range(frames):
        stride = random_.choice([0.7, 3, 3, 80])
        x, y = x + random_.gauss(0, stride), y + random_.gauss(0, stride)
        if random_.random() < 0.05:
            x, y = random_.choice([*LINES[0], *LINES[1], *POLYGONS[0], *POLYGONS[1]])
        x, y = round(min(max(x, 0), 320) * 4) / 4, round(min(max(y, 0), 180) * 4) / 4
        walked.append((x, y))
    return walked


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_random_walks_give_what_the_slow_reference_gives(seed: int, margin: float) -> None:
    random_ = random.Random(seed)
    walks = {track: random_walk(random_, 150) for track in range(1, 7)}
    dwell = 0.2
    watch = ZoneWatch(
        zones(
            margin=margin,
            lines=[{"name": f"l{i}", "points": line} for i, line in enumerate(LINES)],
            zones=[{"name": f"z{i}", "points": p, "min_dwell_seconds": dwell} for i, p in enumerate(POLYGONS)],
        )
    )
    events: list[ZoneEvent] = []
    for i in range(150):
        order = random_.sample(sorted(walks), len(walks))
        events += watch.take(frame(i, *((track, walks[track][i]) for track in order)))
    events += watch.end_all()
    times = [START_NS + i * STEP_NS for i in range(150)]
    for track, anchors in walks.items():
        mine = [event for event in events if event.track_id == track]
        for i, line in enumerate(LINES):
            got = [(e.seq, 1 if e.direction == "forward" else -1) for e in mine if e.place == f"l{i}"]
            assert got == list(slow.lines_crossed(anchors, line, margin * SIZE))
        for i, polygon in enumerate(POLYGONS):
            left = [e for e in mine if e.place == f"z{i}" and e.type == "zone_left"]
            expected = list(slow.visits(anchors, times, polygon, margin * SIZE, round(dwell * 1e9)))
            assert [(e.entered_time_ns, e.left_time_ns) for e in left] == expected
    assert sum(event.type == "line_crossed" for event in events) > 30  # or the test has tested nothing
    assert sum(event.type == "zone_left" for event in events) > 15
    assert len({event.identity for event in events}) == len(events)


def test_results_read_from_json_give_the_same_events() -> None:
    random_ = np.random.default_rng(3)
    config = zones(lines=[LINE], zones=[SQUARE], margin=0.02)
    live, read = ZoneWatch(config), ZoneWatch(config)
    events: list[ZoneEvent] = []
    for i in range(300):
        places = [(track, tuple(random_.uniform((80, 40), (220, 140)))) for track in (1, 2, 3)]
        result = frame(i, *places)  # type: ignore[arg-type]
        told_live = live.take(result)
        assert told_live == read.take(item_from_json(item_to_json(result)))
        events += told_live
    assert len(events) > 300


def test_an_event_is_the_same_after_json() -> None:
    events = walk(ZoneWatch(zones(zones=[SQUARE], lines=[LINE])), (150, 50), (150, 80), (150, 100), (150, 150))
    assert {event.type for event in events} == {"line_crossed", "zone_entered", "zone_left", "occupancy_changed"}
    for event in events:
        values: dict[str, Any] = event_to_json(event)
        assert event_from_json(values) == event
        assert values["id"] == event.identity
