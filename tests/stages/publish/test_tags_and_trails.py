import numpy as np
import pytest

from pipeline.messages import TrackState
from stages.publish.colours import THINGS
from stages.publish.draw import smoothed
from stages.publish.tags import Tag, place_tags
from stages.publish.trails import Step, Trails
from tests.stages.publish.scenes import result, tracked

COLOUR = THINGS[0]


def tags_of(boxes):
    return [Tag(tuple(box), COLOUR, f"person {i}", "0.87", str(i)) for i, box in enumerate(boxes)]


def overlaps(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("seed", range(5))
def test_tags_in_a_crowd_do_not_cover_each_other_and_stay_in_the_picture(seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform([-30, -30], [1270, 700], (80, 2))
    boxes = np.hstack([start, start + rng.uniform(10, 200, (80, 2))]).tolist()
    placed = place_tags(tags_of(boxes), width=1280, height=720, size=15)
    assert len(placed) > 40
    for i, one in enumerate(placed):
        assert one.place[0] >= 0
        assert one.place[1] >= 0
        assert one.place[2] <= 1280
        assert one.place[3] <= 720
        assert not any(overlaps(one.place, other.place) for other in placed[:i])


def test_a_lone_tag_sits_on_its_box():
    (placed,) = place_tags(tags_of([[100, 100, 200, 300]]), width=640, height=480, size=15)
    assert (placed.place[0], placed.place[3]) == (100, 100)
    assert (placed.name, placed.detail) == ("person 0", "0.87")


def test_at_the_upper_edge_a_tag_moves_inside():
    (placed,) = place_tags(tags_of([[100, 0, 200, 300]]), width=640, height=480, size=15)
    assert placed.place[1] == 0


def test_a_small_box_gets_the_short_form():
    (placed,) = place_tags(tags_of([[100, 100, 115, 140]]), width=640, height=480, size=15)
    assert (placed.name, placed.detail) == ("0", "")


def test_where_there_is_no_room_a_tag_is_left_out():
    assert place_tags(tags_of([[0, 0, 5, 5]]), width=5, height=5, size=15) == []
    assert place_tags([], width=640, height=480, size=15) == []


def trail_of(trails, number):
    return dict(trails)[number]


def at(pts, box, *, state=TrackState.CONFIRMED, epoch=1):
    detections, tracks = tracked([box], ids=[4], states=[state])
    return result(detections=detections, tracks=tracks, pts=pts, epoch=epoch)


def test_a_trail_holds_the_feet_of_the_last_seconds():
    trails = Trails(seconds=1.0)
    for pts in range(60):
        trails.update(at(pts, [pts, 10, pts + 20, 50]))
    steps = trail_of(trails, 4)
    assert steps[-1] == Step(59 / 25, 69.0, 50.0)
    assert len(steps) == 26  # one second at 25 frames a second, both ends


def test_a_lost_track_leaves_no_new_steps_and_its_trail_runs_out():
    trails = Trails(seconds=1.0)
    trails.update(at(0, [0, 0, 9, 9]))
    trails.update(at(10, [0, 0, 9, 9], state=TrackState.LOST))
    assert len(trail_of(trails, 4)) == 1
    trails.update(at(40, [0, 0, 9, 9], state=TrackState.LOST))
    assert len(trails) == 0


def test_a_new_epoch_and_a_clock_gone_back_start_afresh():
    trails = Trails()
    trails.update(at(5, [0, 0, 9, 9]))
    trails.update(at(6, [0, 0, 9, 9], epoch=2))
    assert len(trail_of(trails, 4)) == 1
    trails.update(at(2, [0, 0, 9, 9], epoch=2))
    assert len(trail_of(trails, 4)) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 9, 40])
def test_smoothing_is_the_mean_of_equally_many_before_and_after(count):
    rng = np.random.default_rng(count)
    places = rng.uniform(0, 500, (count, 2))
    steps = [Step(i / 25, x, y) for i, (x, y) in enumerate(places.tolist())]
    slow = []
    for i in range(count):
        near = min(i, count - 1 - i, 4)
        slow.append(places[i - near : i + near + 1].mean(axis=0))
    assert np.allclose(smoothed(steps), slow)
    assert np.allclose(smoothed(steps)[-1], places[-1])


def test_in_a_crowd_a_tag_leaves_faces_free():
    """The second has no room above, where the first's tag is; the third none without hiding the first's face."""
    boxes = [[100, 200, 260, 500], [180, 200, 340, 500], [100, 250, 260, 350]]
    first, second, third = place_tags(tags_of(boxes), width=640, height=600, size=15)
    assert first.place[3] == 200
    assert second.place[1] == 500
    assert third.place[1] == 350


def test_a_face_is_hidden_where_there_is_no_other_room():
    """Small faces all over the picture; the last in order is placed for all that."""
    faces = [[x, y, x + 4, y + 12] for x in range(0, 320, 4) for y in range(0, 240, 6)]
    last = [Tag((100, 100, 200, 180), COLOUR, "car 7", "0.87", "7")]
    given = [*last, *(Tag(tuple(face), COLOUR, "", "", "") for face in faces)]
    assert place_tags(given, width=320, height=240, size=15)[0].place[3] == 100


def test_the_score_goes_before_the_name():
    (placed,) = place_tags(tags_of([[100, 100, 160, 240]]), width=640, height=480, size=15)
    assert (placed.name, placed.detail) == ("person 0", "")


def test_letters_beside_a_small_box_are_smaller():
    """Never below what can be read, and never larger than those beside others."""
    for size, small in ((40, 30), (15, 11), (11, 10), (8, 8)):
        little, large = [0, 100, size, 100 + 2 * size], [200, 100, 300, 300]
        assert [tag.size for tag in place_tags(tags_of([little, large]), width=640, height=480, size=size)] == [
            small,
            size,
        ]


def test_a_tag_keeps_off_what_is_occupied():
    """Above its box there is the caption, so it goes below."""
    free, pushed = (
        place_tags(tags_of([[20, 300, 120, 340]]), width=640, height=400, size=15, occupied=occupied)
        for occupied in ([], [(10, 280, 300, 310)])
    )
    assert (free[0].place[3], pushed[0].place[1]) == (300, 340)
