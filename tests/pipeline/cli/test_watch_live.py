"""The live table of `everyframe watch`."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from pipeline.cli.watch_live import LiveWatch
from pipeline.cli.watch_topics import default_topics
from pipeline.client import SubscriberStatistics
from pipeline.client.missed import TopicCount
from pipeline.messages import Gap, SourceStatus
from tests.stages.publish.scenes import CAR, PERSON, result, tracked


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def drawn(watch: LiveWatch, *, width: int = 110) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(watch.table())
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def watching(received: int = 0, missed: int = 0, *, width: int = 110) -> tuple[LiveWatch, Clock]:
    count = TopicCount()
    count.received, count.missed = received, missed
    clock = Clock()
    statistics = SubscriberStatistics(topics={"door/tracks": count}, malformed=0)
    return LiveWatch(lambda: statistics, console=Console(file=io.StringIO(), width=width), now=clock), clock


def test_a_row_tells_what_is_newest_of_a_source() -> None:
    watch, clock = watching(received=13)
    detections, tracks = tracked(
        [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], ids=[1, 2, 3], labels=[CAR, PERSON, CAR]
    )
    for seq in range(11):
        watch.show(replace(result(detections=detections, tracks=tracks, pts=seq), seq=seq))
        clock.seconds += 0.1
    watch.show(SourceStatus(source_id="door", state="STREAMING", epoch=1))
    head, row, caption = drawn(watch)
    assert head == "source state frame time results/s lost what"
    assert "streaming 1/10 " in row
    assert row.endswith(" 10.0 0 car 2 person 1")
    assert caption == "13 received, 0 missed; Ctrl-C ends"


def test_what_was_lost_and_missed_is_told() -> None:
    watch, _ = watching(received=7, missed=5)
    source_id = result().source_id
    watch.show(result())
    watch.show(Gap(source_id, 1, 4, 6, "backlog"))
    watch.show(Gap(source_id, 1, 8, 8, "worker_restart"))
    _, row, caption = drawn(watch)
    assert "4 (worker restart)" in row
    assert caption == "7 received, 5 missed; Ctrl-C ends"


def test_why_nothing_can_be_read_is_told_below_the_table() -> None:
    statistics = SubscriberStatistics(topics={}, malformed=0, fault="redis://127.0.0.1:1/0: Connection refused")
    watch = LiveWatch(lambda: statistics, console=Console(file=io.StringIO()))
    assert drawn(watch)[-1] == "0 received, 0 missed; redis://127.0.0.1:1/0: Connection refused; Ctrl-C ends"


def test_what_there_is_room_for_is_told_whole_and_the_rest_is_not() -> None:
    detections, tracks = tracked([[0, 0, 9, 9]] * 9, ids=list(range(1, 10)), labels=[PERSON] * 5 + [CAR] * 4)
    lines = {}
    for width in (110, 62, 40):
        watch, _ = watching(width=width)
        watch.show(replace(result(detections=detections, tracks=tracks), source_id="loading-bay-2"))
        watch.show(SourceStatus(source_id="loading-bay-2", state="STREAMING", epoch=1))
        watch.show(Gap("loading-bay-2", 1, 4, 6, "backlog"))
        lines[width] = drawn(watch, width=width)[:2]
    assert lines[110][0] == "source state frame time results/s lost what"
    assert lines[110][1].startswith("loading-bay-2 streaming 1/0 ")
    assert lines[62][0] == "source state results/s lost what"
    assert lines[40][0] == "source lost what"
    assert all("loading-bay-2 " in row and "3 (backlog) " in row for _, row in lines.values())


def test_without_a_topic_a_table_also_tells_how_sources_do() -> None:
    assert default_topics(is_live=True, count=None) == ["*/tracks", "*/status"]
    assert default_topics(is_live=True, count=5) == default_topics(is_live=False, count=None) == ["*/tracks"]


def test_a_rate_is_of_the_last_seconds_and_rows_stand_by_name() -> None:
    watch, clock = watching()
    for seq in range(3):
        watch.show(replace(result(), source_id="yard", seq=seq))
        clock.seconds += 1.0
    watch.show(SourceStatus(source_id="door", state="FAULTED", epoch=1))
    clock.seconds += 60
    _, door, yard, _ = drawn(watch)
    assert door == "door faulted 0"
    assert " 0.0 0" in yard
