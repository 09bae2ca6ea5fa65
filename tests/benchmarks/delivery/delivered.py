"""One measurement: so many results to so many readers, at a rate or flat out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.wire import encode_result
from tests.benchmarks.delivery.readers import How, Readers
from tests.benchmarks.delivery.senders import SENDERS, OverZeroMQ
from tests.pipeline.wire.samples import make_result

A_SECOND = 100.0  # four cameras at 25: open loop, whether or not what came before has arrived
WARM_UP = 25  # results at the beginning that are not counted: connections and caches are cold
OBJECTS, SEGMENTS, SIZE = 20, 20, (270, 480)  # of each result


@dataclass(frozen=True, slots=True)
class Delivered:
    """What it took to deliver all results but those of the warm-up."""

    publisher_seconds: float  # of CPU time, all threads
    reader_seconds: float  # of CPU time of all readers together, the warm-up included
    bytes_a_result: float
    elapsed_seconds: float  # from the first due to the last received
    latency_ms: npt.NDArray[np.float64]  # [readers, results] from when a result was due
    results: int

    @property
    def publisher_ms(self) -> float:
        """CPU time a result."""
        return self.publisher_seconds / self.results * 1e3

    @property
    def reader_ms(self) -> float:
        """CPU time a result of all readers together."""
        return self.reader_seconds / (WARM_UP + self.results) * 1e3

    @property
    def a_second(self) -> float:
        """Results a second to each reader."""
        return self.results / self.elapsed_seconds

    def percentile_ms(self, percent: float) -> float:
        """Of the latencies of all results to all readers."""
        return float(np.percentile(self.latency_ms, percent))


@cache
def payloads(count: int) -> list[bytes]:
    """So many results of kind `all`, with `seq` from 0: a vision worker's parcels."""
    height, width = SIZE
    one = replace(make_result(objects=OBJECTS, height=height, width=width, segments=SEGMENTS), timings=None, epoch=1)
    return [encode_result(replace(one, seq=seq)) for seq in range(count)]


def delivered(
    transport: str, kind: str, *, readers: int, results: int, a_second: float | None = None, how: How | None = None
) -> Delivered:
    """Publish to so many readers of a kind; `a_second` None: flat out. `how` they read, else by plain sockets.

    Latencies count from when a result was due, so that a publisher that falls behind is not the faster for it. Flat
    out they mean nothing.

    Raises `TimeoutError` where readers do not come, or do not get everything.
    """
    coded = payloads(WARM_UP + results)
    due_ns = np.zeros(len(coded), dtype=np.int64)
    with SENDERS[transport](kind) as sender:
        chosen = how or ("redis" if transport == "redis" else "zeromq")
        with Readers(chosen, sender.address, kind, readers=readers, results=len(coded)) as process:
            process.wait(sender.tend)
            begin = time.monotonic_ns()
            for seq, payload in enumerate(coded):
                if a_second is not None:
                    due_ns[seq] = begin + int(seq / a_second * 1e9)
                    time.sleep(max(0.0, (due_ns[seq] - time.monotonic_ns()) / 1e9))
                else:
                    due_ns[seq] = time.monotonic_ns()
                if seq == WARM_UP:
                    used = time.process_time()
                sender.publish(seq, payload)
            receipts = process.receipts()
            used = time.process_time() - used
        at_ns = receipts.at_ns[:, WARM_UP:]
        return Delivered(
            publisher_seconds=used,
            reader_seconds=receipts.cpu_seconds,
            bytes_a_result=sender.sent_bytes() / len(coded),
            elapsed_seconds=float(at_ns.max() - due_ns[WARM_UP]) / 1e9,
            latency_ms=(at_ns - due_ns[WARM_UP:]) / 1e6,
            results=results,
        )


def unread_seconds(results: int, a_second: float) -> float:
    """CPU time of a publisher with so many results to publish and nobody who reads."""
    coded = payloads(results)
    with OverZeroMQ("all") as sender:
        begin, used = time.monotonic(), time.process_time()
        for seq, payload in enumerate(coded):
            time.sleep(max(0.0, begin + seq / a_second - time.monotonic()))
            sender.publish(seq, payload)
        return time.process_time() - used
