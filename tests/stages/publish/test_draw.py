import numpy as np
import pytest

from pipeline.messages import NO_TRACK, Detections, Tracks, TrackState, Transform
from stages.publish.caption import caption_of, counts, when
from stages.publish.draw import Style, draw, things_of
from stages.publish.trails import Trails
from tests.stages.publish.scenes import CAR, PERSON, ROAD, SKY, panoptic, picture, result, tracked

CAPTION_ROWS = 60  # a plate of about 30 pixels at the foot, with its margin


def changed(before, after):
    return np.any(before != after, axis=-1)


def test_an_empty_result_changes_nothing_but_the_caption():
    rgb = picture(640, 360)
    difference = changed(rgb, draw(rgb, result(width=640, height=360)))
    assert not difference[:-CAPTION_ROWS].any()
    assert difference[-CAPTION_ROWS:].any()


def test_the_picture_given_is_not_changed():
    rgb = picture(320, 180)
    detections, tracks = tracked([[40, 40, 90, 120]], ids=[3])
    draw(rgb, result(detections=detections, tracks=tracks))
    assert (rgb == 120).all()


def test_nothing_is_drawn_away_from_the_object():
    rgb = picture(1280, 720)
    detections, tracks = tracked([[600, 300, 680, 420]], ids=[3])
    difference = changed(rgb, draw(rgb, result(width=1280, height=720, detections=detections, tracks=tracks)))
    difference[270:425, 590:760] = False  # the box, its rim and its tag
    assert not difference[:-CAPTION_ROWS].any()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 5), (33, 17), (641, 359), (180, 320), (3840, 8)])
def test_every_size_of_picture_is_taken(size):
    width, height = size
    detections, tracks = tracked([[0, 0, width, height], [-50, -9, 1, 1], [2, 1, 2.5, 1.2]], ids=[1, 2, 3])
    segments = panoptic(np.ones((3, 4)), [PERSON], transform=Transform(width / 4, height / 3))
    trails = Trails()
    for pts in range(3):
        given = result(width=width, height=height, detections=detections, tracks=tracks, panoptic=segments, pts=pts)
        trails.update(given)
        drawn = draw(picture(width, height), given, trails, notice="1 frame lost")
        assert drawn.shape == (height, width, 3)
        assert drawn.dtype == np.uint8


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="rgb is 320x200; the result's 320x180 is needed"):
        draw(picture(320, 200), result())


@pytest.mark.parametrize("box", [[-500, -500, -400, -400], [np.nan, 0, 50, 50], [50, 50, 50, 90], [1e30, 0, 2e30, 9]])
def test_a_box_that_is_not_in_the_picture_is_left_out(box):
    detections, tracks = tracked([box], ids=[1])
    assert list(things_of(result(detections=detections, tracks=tracks))) == []
    empty = draw(picture(320, 180), result())
    given = draw(picture(320, 180), result(detections=detections, tracks=tracks))
    assert (empty[:-CAPTION_ROWS] == given[:-CAPTION_ROWS]).all()


def test_things_are_confirmed_and_lost_tracks_and_surer_detections_without_one():
    detections = Detections.of(
        np.array([[0, 0, 50, 50], [60, 0, 90, 50], [100, 0, 150, 50]], dtype=np.float32),
        np.array([0.9, 0.8, 0.2], dtype=np.float32),
        np.array([PERSON, CAR, PERSON], dtype=np.int32),
    )
    tracks = Tracks(
        ids=np.array([7, 8, 9]),
        boxes=np.array([[0, 0, 50, 50], [60, 0, 90, 50], [200, 0, 250, 50]], dtype=np.float32),
        labels=np.array([PERSON, CAR, CAR], dtype=np.int32),
        scores=np.array([0.9, 0.8, 0.7], dtype=np.float32),
        states=np.array([TrackState.CONFIRMED, TrackState.TENTATIVE, TrackState.LOST], dtype=np.uint8),
        detection_index=np.array([0, 1, -1], dtype=np.int32),
    )
    things = list(things_of(result(detections=detections, tracks=tracks)))
    assert [(t.number, t.name, t.lost, t.score is None) for t in things] == [
        (7, "person", False, False),
        (9, "car", True, True),
        (NO_TRACK, "car", False, False),
    ]


def test_a_lost_track_is_dashed_and_a_seen_one_is_not():
    def share_of_edge(state):
        detections, tracks = tracked([[40, 60, 280, 160]], ids=[1], states=[state])
        drawn = draw(picture(320, 240), result(height=240, detections=detections, tracks=tracks))
        return changed(picture(320, 240), drawn)[100:150, 38:43].any(axis=1).mean()

    assert share_of_edge(TrackState.CONFIRMED) == 1.0
    assert 0.3 < share_of_edge(TrackState.LOST) < 0.8


def test_ground_is_tinted_void_is_not_and_a_thing_takes_its_tracks_colour():
    ids = np.zeros((180, 320), dtype=np.uint16)
    ids[:60], ids[60:100], ids[20:90, 200:260] = 1, 2, 3
    detections, tracks = tracked([[200, 20, 260, 90]], ids=[1], labels=[CAR])
    shown = panoptic(ids, [CAR], stuff=[SKY, ROAD])
    drawn = draw(picture(320, 180), result(detections=detections, tracks=tracks, panoptic=shown)).astype(int)
    sky, road, void, car = drawn[10, 20], drawn[80, 20], drawn[120, 20], drawn[60, 230]
    assert sky[2] > sky[0]  # bluish
    assert not (road == sky).all()
    assert (void == 120).all()
    assert car[0] > car[2]  # track 1 is orange


def test_what_was_said_of_gaps_stands_in_the_caption():
    plain = draw(picture(640, 360), result(width=640, height=360))
    told = draw(picture(640, 360), result(width=640, height=360), notice="3 frames lost: late")
    assert changed(plain, told)[-CAPTION_ROWS:].any()


@pytest.mark.parametrize(("width", "height"), [(640, 360), (320, 180)])
def test_the_caption_is_where_it_is_said_to_be(width, height):
    given = result(width=width, height=height)
    difference = changed(picture(width, height), draw(picture(width, height), given))
    caption = caption_of(given, width=width, height=height, size=Style.of(width, height).text)
    assert caption is not None
    left, top, right, bottom = caption.place
    rows, columns = np.nonzero(difference)
    assert (rows.min(), rows.max() + 1) == (pytest.approx(top, abs=1), pytest.approx(bottom, abs=1))
    assert (columns.min(), columns.max() + 1) == (pytest.approx(left, abs=1), pytest.approx(right, abs=1))
    assert caption_of(given, width=20, height=20, size=15) is None


def test_sizes_follow_the_picture():
    small, middle, large = Style.of(640, 360), Style.of(1280, 720), Style.of(3840, 2160)
    assert small.line < middle.line < large.line
    assert middle.text < large.text
    assert large.line == 3 * middle.line


def test_time_is_the_position_in_a_recording_and_the_clock_of_a_camera():
    assert when(result(pts=25 * 83 + 5)) == "01:23.200"
    assert when(result(pts=None, seq=12)) == "frame 12"
    live = result(clock="rtcp", capture_time_ns=1_700_000_000_123_456_789)
    assert when(live) == "2023-11-14 22:13:20.123 UTC"


def test_counts_are_of_confirmed_tracks_or_of_detections_where_nothing_is_tracked():
    detections, tracks = tracked(
        [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]],
        ids=[1, 2, 3],
        labels=[CAR, CAR, PERSON],
        states=[TrackState.CONFIRMED, TrackState.CONFIRMED, TrackState.LOST],
    )
    assert counts(result(detections=detections, tracks=tracks)) == [("car", 2)]
    assert counts(result(detections=detections)) == [("car", 2)]
    assert counts(result()) == []


def beside_a_track(box, **given):
    """A detection that nothing follows in `box`, beside a track in a corner."""
    boxes = np.array([[4, 4, 30, 30], box], dtype=np.float32)
    detections = Detections.of(boxes, np.array([0.9, 0.8], dtype=np.float32), np.array([CAR, CAR], dtype=np.int32))
    _, tracks = tracked([[4, 4, 30, 30]], ids=[1], labels=[CAR])
    return result(width=640, height=360, detections=detections, tracks=tracks, **given)


def test_what_is_not_followed_yet_is_fainter_than_what_is():
    quiet = draw(picture(640, 360), beside_a_track([300, 100, 400, 200])).astype(int)
    detections, tracks = tracked([[300, 100, 400, 200]], ids=[1])
    plain = draw(picture(640, 360), result(width=640, height=360, detections=detections, tracks=tracks)).astype(int)
    lines = [np.abs(drawn[150, 290:310] - 120) for drawn in (quiet, plain)]
    assert 0 < lines[0].sum() < 0.5 * lines[1].sum()
    assert (quiet[150, 290:310] >= 119).all()  # no dark rim


def test_lines_around_a_small_thing_are_fine():
    def inked(side):
        detections, tracks = tracked([[600, 300, 600 + side, 300 + side]], ids=[3])
        given = result(width=1280, height=720, detections=detections, tracks=tracks)
        return changed(picture(1280, 720), draw(picture(1280, 720), given))[300 + side // 2, 590:605].sum()

    assert 1 <= inked(12) < inked(100)


def masked(side, *, ground=0):
    """A track whose mask is the middle of its square box."""
    ids = np.full((360, 640), ground, dtype=np.uint16)
    ids[100 + side // 4 : 100 + 3 * side // 4, 300 + side // 4 : 300 + 3 * side // 4] = 1
    detections, tracks = tracked([[300, 100, 300 + side, 100 + side]], ids=[2])
    return result(width=640, height=360, detections=detections, tracks=tracks, panoptic=panoptic(ids, [PERSON]))


def test_a_thing_with_a_mask_has_a_box_only_where_it_is_large():
    for side, boxed in ((80, True), (16, False)):
        difference = changed(picture(640, 360), draw(picture(640, 360), masked(side)))
        assert difference[100 + side // 2, 300 + side // 2]
        assert difference[100 + side // 2, 299:302].any() == boxed


def test_a_trail_goes_behind_what_it_passes_and_never_across_a_face():
    steps = [result(width=640, height=360, pts=pts) for pts in range(9)]
    trails = Trails()
    for pts, given in enumerate(steps):
        detections, tracks = tracked([[300 + 10 * pts, 60, 320 + 10 * pts, 120 + 4 * pts]], ids=[9])
        trails.update(result(width=640, height=360, detections=detections, tracks=tracks, pts=given.pts))
    over = changed(draw(picture(640, 360), steps[0], None), draw(picture(640, 360), steps[0], trails))
    assert over[120:160, 330:370].any()
    with_mask = masked(80)
    hidden = changed(draw(picture(640, 360), with_mask, None), draw(picture(640, 360), with_mask, trails))
    assert not hidden[123:157, 323:357].any()
    assert hidden[100:180, 300:420].any()
    detections, tracks = tracked([[300, 110, 390, 330]], ids=[2])  # its face is above 176
    boxed = result(width=640, height=360, detections=detections, tracks=tracks)
    hidden = changed(draw(picture(640, 360), boxed, None), draw(picture(640, 360), boxed, trails))
    assert not hidden[112:174, 302:388].any()
    assert hidden[100:174, 392:].any()
