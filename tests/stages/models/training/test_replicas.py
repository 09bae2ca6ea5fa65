"""Copies: they begin alike, and none outlives another or the process that began them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError
from stages.models.labelled.ending import Asked
from stages.models.training.history import Listener
from stages.models.training.readers import TrainingFailed
from stages.models.training.replicas import Replica, run_replicas


def _forever(replica: Replica, tell: Listener | None, interrupted: Asked, *, folder: Path) -> bool:
    (folder / f"{replica.rank}.partial").write_text(str(os.getpid()))
    (folder / f"{replica.rank}.partial").rename(folder / f"{replica.rank}.pid")
    while True:
        time.sleep(1)


def _killed(replica: Replica, tell: Listener | None, interrupted: Asked) -> bool:
    if replica.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(1)


def _refused(replica: Replica, tell: Listener | None, interrupted: Asked) -> bool:
    raise ConfigError("device: 'cuda:7' is not there")


def _shared(replica: Replica, tell: Listener | None, interrupted: Asked, *, folder: Path) -> bool:
    torch.manual_seed(replica.rank)
    layers = [torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)]
    network = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)
    network[1].num_batches_tracked += replica.rank
    if replica.rank == 0:
        torch.save(network.state_dict(), folder / "first.pt")
    replica.share(network)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, float(replica.rank))
    asked = replica.agree(network, float(replica.rank))
    first = torch.load(folder / "first.pt", weights_only=True)
    same = all(torch.equal(value, first[name]) for name, value in network.state_dict().items())
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    halves = len(gradients) == 4 and all(bool((gradient == 0.5).all()) for gradient in gradients)
    return same and halves and asked == 0.5


@pytest.mark.slow
def test_copies_begin_with_the_weights_of_the_first_and_take_the_mean_of_their_gradients(tmp_path: Path) -> None:
    assert run_replicas(2, partial(_shared, folder=tmp_path))


@pytest.mark.slow
def test_a_copy_that_is_killed_ends_the_others() -> None:
    with pytest.raises(TrainingFailed, match="died, with code -9; the same command goes on"):
        run_replicas(2, _killed)


@pytest.mark.slow
def test_what_a_copy_refuses_is_raised_as_what_it_is() -> None:
    with pytest.raises(ConfigError, match="cuda:7"):
        run_replicas(1, _refused, apart=True)


@pytest.mark.slow
def test_copies_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    program = (
        "from functools import partial; from pathlib import Path\n"
        "from stages.models.training.replicas import run_replicas\n"
        "from tests.stages.models.training.test_replicas import _forever\n"
        f"if __name__ == '__main__': run_replicas(2, partial(_forever, folder=Path({str(tmp_path)!r})))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    files = [tmp_path / "0.pid", tmp_path / "1.pid"]
    try:
        _until(lambda: all(file.exists() for file in files))
        parent.kill()
        parent.wait()
        copies = [int(file.read_text()) for file in files]
        _until(lambda: not any(_runs(number) for number in copies))
    finally:
        parent.kill()


def _until(done: Asked) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
