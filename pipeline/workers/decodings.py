"""The threads of a vision worker that decode packets, one a source, and what they need of its loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

import zmq

from pipeline.errors import DeviceLost
from pipeline.links.handover import Handover
from pipeline.workers.control import Control
from pipeline.workers.decoding import DecodingCamera, DeviceParts, Given
from pipeline.workers.messages import Complaint, Epoch, EpochWanted
from pipeline.workers.occupants import Occupant
from pipeline.workers.packets import packet_address

FEED_MESSAGES = 4096  # frames are bounded by their slots long before
STOP_SECONDS = 2.0


class Decodings:
    """Used by the loop's thread alone, but for what the threads put into `feed`, their questions and complaints."""

    def __init__(
        self,
        parts: DeviceParts | None,
        *,
        inlet: str,
        occupants: Mapping[int, Occupant],
        control: Control,
        wake: Callable[[], None],
        context: zmq.Context[zmq.Socket[bytes]],
        and_here: bool,
        hang_seconds: float,
        load_seconds: float,
    ) -> None:
        """`inlet`: the loop's; for the others see `DecodingCamera`."""
        self._parts, self._inlet, self._control = parts, inlet, control
        self._occupants, self._context, self._and_here = occupants, context, and_here
        self._hang_seconds, self._load_seconds = hang_seconds, load_seconds
        self.feed = Handover(capacity=FEED_MESSAGES, wake=wake)
        self._epochs = Given(wake)
        self._wake = wake
        self._threads: dict[int, DecodingCamera] = {}
        self._complaints: deque[tuple[str, Exception]] = deque()
        for number in occupants:
            self.admit(number)

    def admit(self, number: int) -> None:
        """Decode a source from now on."""
        source_id = self._occupants[number].source.source_id
        thread = DecodingCamera(
            self._occupants[number],
            address=packet_address(self._inlet, number),
            parts=self._parts,
            epochs=self._epochs,
            feed=self.feed,
            complain=lambda error: self._complain(source_id, error),
            context=self._context,
            and_here=self._and_here,
            hang_seconds=self._hang_seconds,
            load_seconds=self._load_seconds,
        )
        self._threads[number] = thread
        thread.start()

    def dismiss(self, number: int) -> bool:
        """Decode it no longer; whether its thread has ended, which it is asked to."""
        thread = self._threads[number]
        if thread.is_alive():
            thread.ask_to_end()
            return False
        del self._threads[number]
        return True

    def renew(self) -> None:
        """The publisher was replaced."""
        for thread in self._threads.values():
            thread.renew()

    def answer(self, epoch: Epoch) -> None:
        """An epoch came from the supervisor."""
        self._epochs.answer(epoch.source, epoch.epoch, epoch.error)

    def tend(self) -> None:
        """Pass on what the threads ask and complain of. Raises `DeviceLost` where one found that out, or hangs."""
        for number in self._epochs.wanted():
            self._control.report(EpochWanted(source=number))
        while self._complaints:
            source_id, error = self._complaints.popleft()
            self._control.report(Complaint(about=source_id, error=type(error).__name__, message=str(error)))
        for number, thread in self._threads.items():
            if thread.failure is not None:
                raise thread.failure
            if thread.hangs:
                source_id = self._occupants[number].source.source_id
                raise DeviceLost(f"the decoder has not come back from a packet of {source_id}")

    def close(self) -> None:
        """End all of them; one that hangs ends with the process."""
        for thread in self._threads.values():
            thread.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    def _complain(self, source_id: str, error: Exception) -> None:
        self._complaints.append((source_id, error))
        self._wake()
