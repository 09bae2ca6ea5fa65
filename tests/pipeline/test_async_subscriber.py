"""The awaited reader gives what the other gives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import AsyncSubscriber
from pipeline.errors import UsageError, WireError
from pipeline.messages import FrameResult, Gap
from pipeline.wire import encode_gap
from stages.publish.zeromq import ZeroMQPublisher
from tests.pipeline.test_client_subscriber import PATIENCE_SECONDS, await_subscriptions, numbered
from tests.pipeline.wire.samples import same

GAP = Gap("door", 2, 1, 3, "backlog")


@pytest.fixture
def publisher() -> Iterator[ZeroMQPublisher]:
    with ZeroMQPublisher("tcp://127.0.0.1:0") as publisher:
        yield publisher


def test_results_and_items_come_in_order(publisher: ZeroMQPublisher) -> None:
    async def read() -> None:
        async with AsyncSubscriber(publisher.address, ["door/all"], timeout_seconds=PATIENCE_SECONDS) as subscriber:
            await asyncio.to_thread(await_subscriptions, publisher, 1)
            publisher.publish_result("door", numbered(0))
            publisher.publish_gap(GAP)
            publisher.publish_result("door", numbered(4), gap_before=3)
            publisher.publish_result("door", numbered(5))
            items = subscriber.items()
            first, second = await anext(items), await anext(items)
            assert same(first, numbered(0))
            assert second == GAP
            async for result in subscriber:
                assert isinstance(result, FrameResult)
                if result.seq == 5:
                    break
            assert (subscriber.missed, subscriber.gap_frames) == (0, 3)
            assert subscriber.statistics().received == 4

    asyncio.run(read())


def test_waiting_ends_in_time_and_loses_nothing(publisher: ZeroMQPublisher) -> None:
    async def read() -> None:
        async with AsyncSubscriber(publisher.address, ["door/all"]) as subscriber:
            await asyncio.to_thread(await_subscriptions, publisher, 1)
            assert await subscriber.receive(timeout_seconds=0.01) is None
            waiting = asyncio.ensure_future(subscriber.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            for seq in range(3):
                publisher.publish_result("door", numbered(seq))
            got = [await subscriber.receive(timeout_seconds=PATIENCE_SECONDS) for _ in range(3)]
            assert [item.seq for item in got if isinstance(item, FrameResult)] == [0, 1, 2]

    asyncio.run(read())


def test_the_loop_goes_on_while_nothing_comes(publisher: ZeroMQPublisher) -> None:
    async def read() -> int:
        turns = 0
        async with AsyncSubscriber(publisher.address, ["door/all"]) as subscriber:
            waiting = asyncio.ensure_future(subscriber.receive())
            while turns < 100:
                await asyncio.sleep(0)
                turns += 1
            assert not waiting.done()
            with pytest.raises(RuntimeError, match="another task is waiting"):
                await subscriber.receive()
            await subscriber.close()
            assert await waiting is None
            assert await subscriber.receive() is None
        return turns

    assert asyncio.run(asyncio.wait_for(read(), 60)) == 100


def test_errors_are_raised_where_they_are_awaited(publisher: ZeroMQPublisher) -> None:
    with pytest.raises(UsageError, match="kind 'audio'"):
        AsyncSubscriber(publisher.address, ["door/audio"])

    async def read() -> None:
        async with AsyncSubscriber(publisher.address, ["door/all"]) as subscriber:
            await asyncio.to_thread(await_subscriptions, publisher, 1)
            publisher.socket.send_multipart([b"door/all/", b"", encode_gap(GAP)])
            publisher.publish_gap(GAP)
            with pytest.raises(WireError, match="not a Header"):
                await subscriber.receive(timeout_seconds=PATIENCE_SECONDS)
            assert await subscriber.receive(timeout_seconds=PATIENCE_SECONDS) == GAP

    asyncio.run(read())


def test_a_reader_that_is_not_closed_does_not_hold_the_program_up() -> None:
    script = (
        "import asyncio\nfrom pipeline import AsyncSubscriber\n"
        "async def main():\n"
        "    assert await AsyncSubscriber('tcp://127.0.0.1:9').receive(timeout_seconds=0.05) is None\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], timeout=60, check=True)
