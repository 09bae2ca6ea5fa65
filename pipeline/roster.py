"""Who works where: the seats of a run, its sources, the addresses they meet at, and how a worker is put into a seat."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence

import msgspec

from pipeline.board import Phase, SourceCells
from pipeline.build import lanes_for
from pipeline.child import Child
from pipeline.config import STANDARD_INPUT_DESCRIPTOR, PipelineConfig, SourceConfig, scheme_of
from pipeline.links.zeromq import private_address
from pipeline.member import Member
from pipeline.retry import RestartPolicy
from pipeline.seats import Seat
from pipeline.shared import Shared
from pipeline.spread import labels, least_loaded, load_of, placement
from pipeline.workers.messages import Begin, SourceGiven, Spec, Withdraw

STARTING_SECONDS = 60.0


class Roster:
    """Everything a run consists of, besides the judgement of `pipeline.supervisor`."""

    def __init__(self, config: PipelineConfig, *, builder: str, delivery: str, debug: bool) -> None:
        """`delivery`: the address at which a program reads along; empty for none."""
        self.config = config
        self._builder, self._delivery, self._debug = builder, delivery, debug
        sources = config.source_configs
        self.shared = Shared(
            places=max(config.supervisor.max_sources, len(sources)),
            frames_at_once=config.frames_a_batch * (lanes_for(config) + 1),
            queue_frames=config.batch.queue_frames,
            visions=len(config.devices),
        )
        workers = self.shared.board.workers
        self.visions = self._vision_seats(config.devices)
        self.publisher = Seat("publisher", 1, workers[1], RestartPolicy(), inlet=private_address("publisher"))
        self.members: dict[int, Member] = {}
        self._numbers = itertools.count()
        for source in sources:
            self.admit(source)
        self.bind = config.publish.bind

    def _vision_seats(self, devices: Sequence[str]) -> list[Seat]:
        """One a device. The first has the board's first place, the others those after the cameras'."""
        names = labels(devices) if len(devices) > 1 else [""]
        seats = []
        for i, (device, label) in enumerate(zip(devices, names, strict=True)):
            index = 1 + self.shared.places + i if i else 0
            cells = self.shared.board.workers[index]
            inlet = private_address("vision")
            seats.append(Seat("vision", index, cells, RestartPolicy(), device=device, label=label, inlet=inlet))
        return seats

    @property
    def placement(self) -> str:
        """Which source is on which device, for people; empty where there is one."""
        members = list(self.members.values())
        return placement(self.visions, {member.source.source_id: member.vision for member in members})

    def members_of(self, vision: Seat) -> list[Member]:
        """The sources of a vision worker."""
        return [member for member in list(self.members.values()) if member.vision is vision]

    def least_loaded(self) -> Seat:
        """The vision worker for one more source; not one whose device is lost."""
        staying = [(member.vision, load_of(member.cells)) for member in self.members.values() if not member.leaving]
        return least_loaded([seat for seat in self.visions if not seat.done], staying)

    @property
    def cameras(self) -> list[Seat]:
        """A seat for each source."""
        return [member.seat for member in list(self.members.values())]

    @property
    def seats(self) -> list[Seat]:
        """All of them, in the order they are filled."""
        return [self.visions[0], self.publisher, *self.visions[1:], *self.cameras]

    def source_id(self, seat: Seat) -> str:
        """The source a camera's seat is for; empty for the other seats."""
        return self.members[seat.source].source.source_id if seat.role == "camera" else ""

    def cells_by_source(self) -> list[tuple[str, SourceCells]]:
        """What stands on the board about each source, by its id."""
        return [(member.source.source_id, member.cells) for member in list(self.members.values())]

    def admit(self, source: SourceConfig) -> Member:
        """Let a source take part. Raises `EveryframeError` where there is no place or no memory for it."""
        number = next(self._numbers)
        place = self.shared.take(source)
        seat = Seat("camera", 2 + place, self.shared.board.workers[2 + place], RestartPolicy(), source=number)
        vision = self.least_loaded()
        member = Member(number, source, place, self.shared.board.sources[place], seat, vision)
        for other in (self.publisher, vision):
            self.give(other, member)
        self.members[number] = member
        return member

    def dismiss(self, member: Member) -> None:
        """A source of which no worker holds anything takes part no longer."""
        del self.members[member.number]
        self.shared.give_back(member.place)

    def called(self, source_id: str) -> Member | None:
        """The source of that name."""
        return next((m for m in list(self.members.values()) if m.source.source_id == source_id), None)

    def name(self, seat: Seat) -> str:
        """What to call a seat's worker."""
        if seat.role == "camera":
            return f"the camera worker of {self.members[seat.source].source.source_id}"
        if seat.role == "vision":
            return f"the vision worker of {seat.label}" if seat.label else "the vision worker"
        return "the publisher"

    def start(self, seat: Seat) -> None:
        """Put a new worker into a seat. It gets an inlet that no worker had before it."""
        if seat.starts and seat.role != "camera":
            seat.inlet = private_address(seat.role)
        seat.starts += 1
        seat.cells.phase = Phase.STARTING
        seat.cells.deadline_ns = time.monotonic_ns() + round(STARTING_SECONDS * 1e9)
        seat.ready, seat.stopped_checks, seat.late, seat.leave_by = False, 0, None, 0.0
        seat.outlet = self._outlet(seat)
        child = Child(debug=self._debug, single_threaded=seat.role != "vision")
        child.order(self._spec(seat), [self.shared.board_memory])
        members = self._served_by(seat)
        for member in members:
            self._give(child, member, to_camera=seat.role == "camera")
        child.order(Begin())
        for member in members:
            if member.withdrawn and seat.role != "camera":
                child.order(Withdraw(member.number))
        seat.child = child

    def _served_by(self, seat: Seat) -> list[Member]:
        if seat.role == "camera":
            return [self.members[seat.source]]
        served = self.members.values() if seat.role == "publisher" else self.members_of(seat)
        return [member for member in served if not member.withdrawn or seat.role in member.held_by]

    def _outlet(self, seat: Seat) -> str:
        if seat.role == "camera":
            return self.members[seat.source].vision.inlet
        return self.publisher.inlet if seat.role == "vision" else ""

    def give(self, seat: Seat, member: Member) -> None:
        """Have the worker in a seat serve a source; the next gets it from the start."""
        if seat.child is not None:
            self._give(seat.child, member)

    def _give(self, child: Child, member: Member, *, to_camera: bool = False) -> None:
        given = SourceGiven(member.number, member.place, member.source, member.passed, member.on_cpu)
        reads_input = to_camera and scheme_of(member.source.url) == "stdin"
        child.order(given, [*self.shared.ring(member.place), *[STANDARD_INPUT_DESCRIPTOR] * reads_input])

    def _spec(self, seat: Seat) -> Spec:
        return Spec(
            role=seat.role,
            cells=seat.index,
            places=self.shared.places,
            visions=len(self.visions),
            config=self._config(seat),
            builder=self._builder,
            slots=self.shared.slots,
            inlet=seat.inlet,
            outlet=seat.outlet,
            delivery=self._delivery if seat.role == "publisher" else "",
            bind=self.bind,
            debug=self._debug,
        )

    def _config(self, seat: Seat) -> PipelineConfig:
        if seat.role == "vision" and seat.label:
            return msgspec.structs.replace(self.config, device=seat.device)
        return in_parts(self.config, seat.starts) if seat.role == "publisher" else self.config


def in_parts(config: PipelineConfig, part: int) -> PipelineConfig:
    """The configuration for the `part`-th publisher of a run: files of those before it are not written over."""
    if part < 2:
        return config
    output = config.output
    directory = output.directory and os.path.join(output.directory, f"part-{part}")
    annotate = output.annotate and _part(output.annotate, part)
    files = {name: _part(file, part) for name, file in output.export.files.items()}
    export = msgspec.structs.replace(output.export, **files)
    changed = msgspec.structs.replace(output, directory=directory, annotate=annotate, export=export)
    return msgspec.structs.replace(config, output=changed)


def _part(file: str, part: int) -> str:
    stem, suffix = os.path.splitext(file)
    return f"{stem}-part-{part}{suffix}"
