"""Every state of a source, seen from outside, and that a source goes only where the picture of the states says."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.client import Subscriber
from pipeline.messages import SourceStatus
from pipeline.states import TRANSITIONS, SourceState
from tests.cameras import Answer, NoKeyframes, SilentAt, StallAfter, numbered_video
from tests.faults.fixtures import Cameras, Seen, Watch

README = Path(__file__).parents[2] / "pipeline" / "README.md"
OPEN_SECONDS = 1.0
REFUSED = ("UNAUTHORIZED", "NOT_FOUND", "UNSUPPORTED")
STATE = re.compile(r"\b[A-Z]{2}[A-Z_]+\b")


def sources_of(cameras: Cameras) -> dict[str, dict[str, object]]:
    """A camera for each state that a camera can bring a source into, by the state."""
    video = numbered_video(100)
    urls = {
        "STREAMING": cameras(video).url,
        "STALLED": cameras(video, behaviour=StallAfter(10)).url,
        "NO_DECODABLE_FRAMES": cameras(video, behaviour=NoKeyframes()).url,
        "UNAUTHORIZED": cameras(video, user="admin", password="right").url_of(
            "/stream", user="admin", password="wrong"
        ),
        "NOT_FOUND": cameras(video, behaviour=Answer(404)).url,
        "UNSUPPORTED": cameras(video, behaviour=Answer(461, method="SETUP")).url,
        "FAULTED": cameras(video, behaviour=SilentAt("OPTIONS")).url,
    }
    read_seconds = {"STALLED": 6.0}
    return {
        state: {
            "url": url,
            "source_id": state,
            "open_timeout_seconds": OPEN_SECONDS if state == "FAULTED" else 10.0,
            "read_timeout_seconds": read_seconds.get(state, 3.0),
        }
        for state, url in urls.items()
    }


@pytest.mark.fault("states of a source", promise="each is seen in statistics and on <source>/status/")
def test_every_state_is_seen(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    sources = sources_of(rtsp_camera)
    started = time.monotonic()
    run = watched(*sources.values(), retry_first_seconds=0.5, retry_max_seconds=0.5)
    published: set[tuple[str, str]] = set()
    with Subscriber(run.engine.address, topics=[f"{state}/status" for state in sources]) as subscriber:
        run.until_state(**{state: state for state in sources})
        for item in subscriber.items():
            if isinstance(item, SourceStatus):
                published.add((item.source_id, item.state))
            if {(state, state) for state in sources} <= published:
                break
    run.until(lambda now: all(now[refused].retry_in_seconds for refused in REFUSED))
    for refused in REFUSED:
        assert run.status(refused).reconnects <= 1 + (time.monotonic() - started) / 60
    assert "wrong" not in repr(run.engine.statistics())
    # The camera that stalled is given up after six seconds, tried again, and stalls again.
    run.until(lambda _: run.states["STALLED"].count("STALLED") > 1)
    run.engine.stop()
    run.now()
    for source_id, states in run.states.items():
        for before, after in pairwise(map(SourceState, states)):
            assert reachable(before, after), f"{source_id} went from {before} to {after}: {states}"
    assert "CONNECTING" in run.states["FAULTED"]
    every = sorted({state for states in run.states.values() for state in states})
    seen(f"in statistics and published: {', '.join(every)}; tried once in the minute after a refusal")


def reachable(before: SourceState, after: SourceState) -> bool:
    """Whether the picture leads from one state to another, by way of at most one that was too short to be seen."""
    direct = TRANSITIONS[before]
    return after in direct or any(after in TRANSITIONS[between] for between in direct)


@pytest.mark.fault("states of a source", promise="the picture in the documentation is the one in the code")
def test_the_picture_is_true(seen: Seen) -> None:
    text = README.read_text(encoding="utf-8")
    picture = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
    assert picture is not None
    drawn, names = read_picture(picture[1])
    assert drawn == {(a.value, b.value) for a, after in TRANSITIONS.items() for b in after}
    assert names == set(SourceState)
    seen(f"{len(names)} states, {len(drawn)} transitions, the same in pipeline/states.py and pipeline/README.md")


def read_picture(picture: str) -> tuple[set[tuple[str, str]], set[str]]:
    """The transitions and the states of a Mermaid diagram; an arrow from or to a group stands for all within it."""
    groups: dict[str, set[str]] = {}
    around: list[str] = []
    arrows = []
    for line in picture.splitlines():
        if opened := re.search(r"as (\w+) \{", line):
            around.append(opened[1])
            groups[opened[1]] = set()
        elif line.strip() == "}":
            around.pop()
        else:
            for group in around:
                groups[group] |= set(STATE.findall(line))
            if arrow := re.match(r" *(\w+) --> (\w+)", line):
                arrows.append((arrow[1], arrow[2]))
    drawn = {(a, b) for x, y in arrows for a in groups.get(x, {x}) for b in groups.get(y, {y}) if a != b}
    return drawn, set(STATE.findall(picture))


@pytest.mark.fault("states of a source", promise="nothing follows REMOVED, and no state is a dead end before it")
def test_the_picture_is_whole(seen: Seen) -> None:
    assert set(TRANSITIONS) == set(SourceState)
    assert TRANSITIONS[SourceState.REMOVED] == frozenset()
    assert all(SourceState.REMOVED in TRANSITIONS[state] for state in SourceState if state is not SourceState.REMOVED)
    reached = {SourceState.CONNECTING}
    while len(more := reached | {b for a in reached for b in TRANSITIONS[a]}) > len(reached):
        reached = more
    assert reached == set(SourceState)
    seen("all states are reached from CONNECTING, and REMOVED from all")
