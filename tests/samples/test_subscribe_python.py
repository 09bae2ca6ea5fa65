"""The ten lines work, and are ten."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.wire.samples import make_result, make_status
from tests.samples.programs import await_subscription, started, until

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "subscribe-python" / "subscribe.py"


def test_it_prints_a_line_a_result_of_a_source_it_found(tmp_path: Path) -> None:
    log = tmp_path / "out.txt"
    result = make_result(objects=2)
    names = [f"{result.class_name(label)}#{id_}" for label, id_ in zip(result.tracks.labels, (1, 2), strict=True)]
    with (
        ZeroMQPublisher("tcp://127.0.0.1:0") as publisher,
        started([sys.executable, str(SAMPLE), publisher.address], log=log, cwd=ROOT) as process,
    ):
        publisher.publish_status(make_status("door"))
        await_subscription(publisher, process, 2)
        publisher.publish_result("door", replace(result, seq=4))
        publisher.publish_result("door", replace(result, seq=7, gap_before=2), gap_before=2)
        until(lambda: len(log.read_text().splitlines()) >= 2, process)
    lines = log.read_text().splitlines()
    assert lines[0] == f"door 2/4 {' '.join(names)}"
    assert lines[1] == f"door 2/7 {' '.join(names)} (2 frames lost, 0 messages missed)"


def test_it_is_ten_lines() -> None:
    _docstring, *code = SAMPLE.read_text().splitlines()
    assert len([line for line in code if line]) <= 10
