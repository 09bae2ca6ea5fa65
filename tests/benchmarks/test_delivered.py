"""What the benchmark of delivery measures did happen: every result at every reader, on either transport."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import resource_tracker

import numpy as np
import pytest

from tests import redis_server
from tests.benchmarks.delivery.delivered import delivered
from tests.benchmarks.delivery.readers import How
from tests.require import skip_without

RESULTS, READERS = 12, 20  # so many that the first are there long before the last


@pytest.fixture(autouse=True)
def no_child() -> Iterator[None]:
    """`multiprocessing` keeps a child of its own to the end of the process, where later tests look for none."""
    yield
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("transport", "how", "readers"),
    [("zeromq", "zeromq", READERS), ("redis", "redis", READERS), ("zeromq", "subscriber", 1)],
)
def test_every_result_reaches_every_reader(transport: str, how: How, readers: int) -> None:
    if transport == "redis" and not redis_server.is_available():
        skip_without("redis", lacking="redis-server")
    paced = delivered(transport, "boxes", readers=readers, results=RESULTS, a_second=200.0, how=how)
    assert paced.latency_ms.shape == (readers, RESULTS)
    assert (paced.latency_ms > 0).all(), "none was received before it was due"
    assert np.diff(paced.latency_ms + 5.0 * np.arange(RESULTS)).min() > -1e-3, "in the order they were published"
    assert paced.a_second <= 200.0 * RESULTS / (RESULTS - 1) * 1.01
    assert paced.publisher_seconds > 0
    assert (paced.bytes_a_result > 0) == (transport == "zeromq")
