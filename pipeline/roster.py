"""Who works where: the seats of a run, the addresses they meet at, and how a worker is put into one."""

from __future__ import annotations

import os
import time

import msgspec

from pipeline.board import Phase
from pipeline.build import batch_size, lanes_for
from pipeline.child import Child
from pipeline.config import PipelineConfig
from pipeline.links.zeromq import private_address
from pipeline.retry import RestartPolicy
from pipeline.seats import Seat, Shared
from pipeline.workers.messages import Begin, RingGiven, Spec

STARTING_SECONDS = 60.0


class Roster:
    """Everything a run consists of, besides the judgement of `pipeline.supervisor`."""

    def __init__(self, config: PipelineConfig, *, builder: str, delivery: str, debug: bool) -> None:
        """`delivery`: the address at which a program reads along; empty for none."""
        self.config = config
        self._builder, self._delivery, self._debug = builder, delivery, debug
        self.sources = config.source_configs
        self.shared = Shared(
            self.sources,
            frames_at_once=batch_size(config) * (lanes_for(config.detector_config) + 1),
            queue_frames=config.batch.queue_frames,
        )
        workers = self.shared.board.workers
        self.vision = Seat("vision", 0, workers[0], RestartPolicy())
        self.publisher = Seat("publisher", 1, workers[1], RestartPolicy())
        self.cameras = [
            Seat("camera", 2 + i, workers[2 + i], RestartPolicy(), source=i) for i in range(len(self.sources))
        ]
        self.vision_inlet = private_address("vision")
        self.publisher_inlet = private_address("publisher")
        self.bind = config.publish.bind

    @property
    def seats(self) -> list[Seat]:
        """All of them, in the order they are filled."""
        return [self.vision, self.publisher, *self.cameras]

    def name(self, seat: Seat) -> str:
        """What to call a seat's worker."""
        if seat.role == "camera":
            return f"the camera worker of {self.sources[seat.source].source_id}"
        return "the vision worker" if seat.role == "vision" else "the publisher"

    def start(self, seat: Seat) -> None:
        """Put a new worker into a seat. It gets an inlet that no worker had before it."""
        if seat.starts and seat.role == "vision":
            self.vision_inlet = private_address("vision")
        if seat.starts and seat.role == "publisher":
            self.publisher_inlet = private_address("publisher")
        seat.starts += 1
        seat.cells.phase = Phase.STARTING
        seat.cells.deadline_ns = time.monotonic_ns() + round(STARTING_SECONDS * 1e9)
        seat.ready, seat.stopped_checks, seat.late = False, 0, None
        seat.outlet = {"camera": self.vision_inlet, "vision": self.publisher_inlet, "publisher": ""}[seat.role]
        child = Child(debug=self._debug, single_threaded=seat.role != "vision")
        child.order(self._spec(seat), [self.shared.board_memory])
        for source in [seat.source] if seat.role == "camera" else range(len(self.sources)):
            child.order(RingGiven(source), self.shared.ring(source))
        child.order(Begin())
        seat.child = child

    def _spec(self, seat: Seat) -> Spec:
        inlet = {"camera": "", "vision": self.vision_inlet, "publisher": self.publisher_inlet}[seat.role]
        return Spec(
            role=seat.role,
            cells=seat.index,
            config=in_parts(self.config, seat.starts) if seat.role == "publisher" else self.config,
            builder=self._builder,
            source=seat.source,
            slots=self.shared.slots,
            inlet=inlet,
            outlet=seat.outlet,
            delivery=self._delivery if seat.role == "publisher" else "",
            bind=self.bind,
            debug=self._debug,
        )


def in_parts(config: PipelineConfig, part: int) -> PipelineConfig:
    """The configuration for the `part`-th publisher of a run: files of those before it are not written over."""
    if part < 2:
        return config
    output = config.output
    directory = output.directory and os.path.join(output.directory, f"part-{part}")
    annotate = output.annotate and "{0}-part-{part}{1}".format(*os.path.splitext(output.annotate), part=part)
    return msgspec.structs.replace(
        config, output=msgspec.structs.replace(output, directory=directory, annotate=annotate)
    )
