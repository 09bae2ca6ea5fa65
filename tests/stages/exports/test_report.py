"""The page: what it says, that it fetches nothing, and that no name of a file or a class is more than text."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from pipeline.config import SourceConfig
from pipeline.messages import Classes, FrameResult, ModelInfo
from stages.exports.entry import Job
from stages.exports.pictures import Place, pictures_at
from stages.exports.report_charts import Series, clock, timeline
from stages.exports.report_pictures import THUMB_HEIGHT, THUMB_WIDTH, thumbnail
from stages.exports.report_tally import MOST_BINS, MOST_TRACKS, Bin, Heat, Tally, TimeBins
from stages.publish.rgb import rgb_of
from tests.cameras.numbered import read_number
from tests.stages.exports.recordings import (
    Recording,
    clip,
    export,
    lost,
    recording,
    results_in,
    without_masks,
    without_objects,
)

VOID = {"meta", "img", "link", "br", "hr", "input"}
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "dl", "div", "dt", "dd"),
    *("figure", "img", "figcaption", "section", "svg", "line", "text", "polygon", "path", "ul", "ol", "li", "i", "b"),
    *("span", "table", "thead", "tbody", "tr", "th", "td"),
}
ODD = "<script>alert('1')</script> \"&amp; <img src=x onerror=y>"


class Page(HTMLParser):
    """The elements of a page, each closed, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """What is read."""
        return " ".join(" ".join(self.words).split())


def page(folder: Path) -> Page:
    """The report in a folder, which must be harmless."""
    text = (folder / "report.html").read_text()
    found = Page(text)
    assert set(found.tags) <= KNOWN
    for name, value in found.attributes:
        assert not name.startswith("on")
        assert name != "href"
        assert name != "src" or value.startswith("data:image/jpeg;base64,")
    assert "http" not in re.sub(r"http-equiv|data:image/jpeg;base64,[^\"]*", "", text)
    assert "url(" not in text
    assert "@import" not in text
    return found


def images(folder: Path) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', (folder / "report.html").read_text())
    decoded = [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB) for data in found]
    return [np.asarray(picture) for picture in decoded if picture is not None]


def test_real_results_are_told(crossing: Path) -> None:
    folder = crossing / "crossing"
    export(folder, crossing / "crossing.mp4", "report", name="crossing")
    told = page(folder).text
    for words in ("crossing.mp4", "0:01.6 at 25 frames/s", "1280 × 720", "everyframe-nano", "40 (100 %)", "person"):
        assert words in told, words
    assert "All 40 frames have a result. Packets that gave no picture: 0." in told
    shapes = [picture.shape[:2] for picture in images(folder)]
    assert shapes == [(540, 960)] + [(THUMB_HEIGHT, THUMB_WIDTH)] * MOST_TRACKS + [(540, 960)]


def test_frames_that_were_not_analysed_are_told(crossing: Path) -> None:
    folder = crossing / "fps" / "crossing"
    export(folder, crossing / "crossing.mp4", "report")
    told = page(folder).text
    assert "Analysed 8 (20 %)" in told
    assert "In 32 of them, left out as planned, boxes are predicted by the tracker." in told


def test_what_is_counted(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "report")
    told = page(folder).text
    assert "Class Different objects Most at once In a frame Frames with any Mean score" in told
    assert "person 1 1 1.00 100 % 0.55" in told
    assert "car 1 1 1.00 100 % 0.90" in told
    assert "car 1 0.4 s, 0:00 to 0:00 mean score 0.90" in told
    assert "Packets that gave no picture" not in told
    assert len(images(folder)) == 4


def test_undecoded_packets_are_told_where_the_run_has_counted_them(small: Recording, tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text('{"counts": {"undecoded": 1234, "damaged": 5}}')
    told = page(small.into(tmp_path, "report")).text
    assert "no picture: 1 234. Pictures that the decoder had to guess parts of: 5." in told
    (tmp_path / "done.json").write_text('["counts"]')
    assert "no picture" not in page(small.into(tmp_path, "report")).text


def test_gaps_are_listed(small: Recording, tmp_path: Path) -> None:
    told = page(recording(small.video, change=lost(4, 6)).into(tmp_path, "report")).text
    assert "9 of 12 frames have a result; 3 have none." in told
    assert "0:00.1 4 to 6 3 inference error" in told
    assert "frames without a result" in told


def test_nothing_found_is_told_with_a_picture(small: Recording, tmp_path: Path) -> None:
    folder = recording(small.video, change=without_objects).into(tmp_path, "report")
    told = page(folder).text
    assert "No objects were found." in told
    assert "A frame from the middle of the recording." in told
    assert "Longest" not in told
    assert [picture.shape[:2] for picture in images(folder)] == [(64, 96)]


def test_no_result_at_all_is_told(small: Recording, tmp_path: Path) -> None:
    told = page(Recording(small.video, ()).into(tmp_path / "none", "report")).text
    assert "The recording gave no result." in told
    assert "There was no frame." in told
    only = recording(small.video, change=lost(0, 11)).into(tmp_path / "gap", "report")
    assert "0 of 12 frames have a result; 12 have none." in page(only).text


def test_every_name_is_text_alone(small: Recording, tmp_path: Path) -> None:
    video = small.video.with_name("a <b>'quoted' & \"x\".mp4")
    video.write_bytes(small.video.read_bytes())
    items = tuple(
        replace(result, classes=Classes((ODD, "car"), ("road",)), model=ModelInfo(ODD, ODD))
        for result in results_in(small.items)
    )
    folder = Recording(video, items).into(tmp_path, "report", "coco", "mot", "parquet")
    told = page(folder)
    assert "script" not in told.tags
    assert told.text.count(ODD.replace("  ", " ")) >= 4
    assert video.name in told.text
    assert "Source clip Duration" in told.text
    assert (
        "Source <b>& Frames 0 Nothing" in page(Recording(video, (), name="<b>&").into(tmp_path / "none", "report")).text
    )
    assert unescape(next(value for name, value in told.attributes if name == "alt" and "alert" in value))


def test_without_masks_and_over_epochs(two_sizes: Recording, tmp_path: Path) -> None:
    folder = recording(two_sizes.video, change=without_masks).into(tmp_path, "report")
    told = page(folder).text
    assert "96 × 64, 64 × 48" in told
    assert "person 2 1 1.00" in told
    assert all(f"car {number}" in told for number in (1, 4))
    assert len(images(folder)) == 6


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
def test_pictures_are_those_that_were_asked_for(suffix: str, tmp_path: Path) -> None:
    made = recording(clip(tmp_path / f"clip.{suffix}", sizes=((320, 192),), frames=30))
    folder = made.into(tmp_path / "made")
    job = Job(folder / "results.jsonl", folder, (made.video,), SourceConfig(url="-", source_id="clip"))
    places = {Place(r.epoch, r.seq, r.pts) for r in results_in(made.items) if r.seq in (0, 7, 8, 29)}
    found = {place.seq: read_number(rgb_of(surface)) for place, surface in pictures_at(places, job)}
    assert found == {0: 0, 7: 7, 8: 8, 29: 29}
    in_order = pictures_at(places, job, by_time=False)
    assert {place.seq: read_number(rgb_of(surface)) for place, surface in in_order} == found
    assert list(pictures_at({Place(1, 99, 10**9)}, job)) == []


def test_a_thumbnail_shows_the_box_wherever_it_lies() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    for box in ((0, 0, 10, 10), (190, 90, 200, 100), (0, 0, 200, 100), (95, 0, 105, 100), (40, 40, 41, 41)):
        picture[:] = 0
        left, top, right, bottom = box
        picture[top:bottom, left:right] = 255
        shown = thumbnail(picture, tuple(map(float, box)))
        assert shown.shape == (THUMB_HEIGHT, THUMB_WIDTH, 3)
        assert shown.max() > 200, box


def test_heat_is_how_many_boxes_lie_there() -> None:
    rng = np.random.default_rng(0)
    heat, expected = Heat(), np.zeros((108, 192), np.int64)
    for _ in range(5):
        boxes = rng.uniform(-20, 220, (7, 4))
        boxes[:, 2:] = boxes[:, :2] + rng.uniform(0, 90, (7, 2))
        heat.add(boxes, 192, 108)
        for left, top, right, bottom in np.round(boxes).astype(int).tolist():
            expected[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] += 1
    assert np.array_equal(heat.counts(), expected)


def test_stretches_grow_so_that_there_are_not_too_many() -> None:
    bins, frames = TimeBins(), 50_000
    for i in range(frames):
        one = bins.at(i * 40_000_000, Place(1, i, i))
        one.frames += 1
        one.objects[i % 2] += 3
    assert len(bins.bins) <= MOST_BINS
    assert sum(one.frames for one in bins.bins.values()) == frames
    assert sum(one.objects.total() for one in bins.bins.values()) == 3 * frames
    assert [bins.bins[i].place.seq * 40_000_000 // bins.width_ns for i in sorted(bins.bins)] == sorted(bins.bins)
    bins.at(2**62, Place(1, frames, None))
    assert len(bins.bins) == 2


def test_the_time_line_is_whole_for_any_length() -> None:
    for seconds in (0.0, 0.04, 59.9, 3600.0, 86_400.0 * 400):
        bins = TimeBins()
        bins.at(round(seconds * 1e9), Place(1, 0, 0)).frames += 1
        bins.bins[min(bins.bins)].objects.update({0: 3, 1: 1})
        series = [Series('a "b" <c>', "#000", frozenset({0})), Series("d", "#111", frozenset({1}))]
        drawn = ElementTree.fromstring(timeline(bins, round(seconds * 1e9), series, [0]))
        assert len(drawn.findall("polygon")) == 2
        assert 1 <= len([text for text in drawn.findall("text") if ":" in (text.text or "")]) <= 12
    assert Bin().frames == 0
    assert [clock(s) for s in (0, 65, 3661, 90_061)] == ["0:00", "1:05", "1:01:01", "25:01:01"]
    assert clock(59.96, fine=True) == "1:00.0"


def test_the_longest_tracks_are_kept_and_ended_ones_forgotten(small: Recording) -> None:
    from stages.exports.entry import numbered

    base = results_in(small.items)[0]

    def frame(seq: int) -> FrameResult:
        tracks = base.tracks[:2]
        ids = np.array([1, 2 + seq], np.int64)  # one that stays, and each time another
        now = replace(tracks, ids=ids)
        return replace(base, seq=seq, capture_time_ns=seq * 40_000_000, tracks=now, track_ids=now.of_detections(3))

    tally = Tally()
    for entry in numbered(frame(seq) for seq in range(200)):
        tally.add(entry)
        assert len(tally._alive) <= 2
    longest = tally.longest()
    assert [track.number for track in longest[:3]] == [1, 2, 3]
    assert len(longest) == MOST_TRACKS
    assert longest[0].frames == 200
    assert [tally.classes[label].tracks for label in (1, 0)] == [1, 200]
