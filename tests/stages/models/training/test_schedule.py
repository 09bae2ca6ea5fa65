"""Schedules beside torch's, optimiser groups, clipping, and the averaged weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from stages.models.training.average import Average
from stages.models.training.optimiser import OPTIMISERS, clip_gradients, make_optimiser, set_rate
from stages.models.training.schedule import LEAST, SCHEDULES, cosine, one_cycle, poly, rate_share

STEPS = 50


def rates_of_torch(make) -> list[float]:
    """A torch scheduler's rates over the steps; the highest is 1."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = make(optimiser)
    rates = []
    for _ in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs() -> None:
    expected = rates_of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=LEAST))
    assert [cosine(step / STEPS) for step in range(STEPS)] == pytest.approx(expected, abs=1e-6)


def test_poly_is_torchs() -> None:
    expected = rates_of_torch(lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=0.9))
    assert [poly(step / STEPS) for step in range(STEPS)] == pytest.approx(expected, abs=1e-6)


def test_one_cycle_is_torchs() -> None:
    # torch's last step has progress 1, and its rise ends one step before 30%
    total, peak = 101, 0.3 * 101 - 1
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=total, pct_start=0.3)
    for step in range(total):
        own = step / peak * 0.3 if step < peak else 0.3 + (step - peak) / (total - 1 - peak) * 0.7
        assert one_cycle(own) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-6)
        optimiser.step()
        if step < total - 1:
            scheduler.step()


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_schedules_stay_between_nothing_and_all(name: str) -> None:
    shares = [SCHEDULES[name](step / 100) for step in range(-10, 120)]
    assert min(shares) >= 0
    assert max(shares) == pytest.approx(1, abs=1e-2)
    assert SCHEDULES[name](7.0) == SCHEDULES[name](1.0)


def test_a_warm_up_is_linear_and_then_the_schedule_has_the_rest() -> None:
    assert rate_share(SCHEDULES["constant"], 0.05, warm_up=0.1) == pytest.approx(0.5)
    assert rate_share(poly, 0.1, warm_up=0.1) == pytest.approx(1)
    assert rate_share(poly, 0.55, warm_up=0.1) == pytest.approx(0.5**0.9)
    assert rate_share(one_cycle, 0.3) == pytest.approx(1)
    assert rate_share(cosine, 0.0, warm_up=0.02) == pytest.approx(0.01)
    assert rate_share(cosine, 0.51, warm_up=0.02) == pytest.approx(0.505)
    assert rate_share(cosine, 2.0, warm_up=0.02) == pytest.approx(0.01)


@pytest.mark.parametrize("warm_up", [-0.1, 1.0, math.nan])
def test_a_warm_up_that_is_no_share_is_refused(warm_up: float) -> None:
    with pytest.raises(ValueError, match="warm_up"):
        rate_share(cosine, 0.5, warm_up=warm_up)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


@pytest.mark.parametrize("kind", sorted(OPTIMISERS))
def test_groups_have_their_decay_and_their_rate(kind: str) -> None:
    network = Small()
    optimiser = make_optimiser(network, kind=kind, learning_rate=0.2, weight_decay=0.05, backbone_rate=0.1)
    set_rate(optimiser, 0.4)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups for p in g["params"]}
    assert found == {
        id(network.backbone[0].weight): (pytest.approx(0.04), 0.05),
        id(network.backbone[0].bias): (pytest.approx(0.04), 0.0),
        id(network.backbone[1].weight): (pytest.approx(0.04), 0.0),
        id(network.backbone[1].bias): (pytest.approx(0.04), 0.0),
        id(network.head.weight): (0.4, 0.05),
        id(network.head.bias): (0.4, 0.0),
    }


def test_one_rate_for_all_makes_two_groups() -> None:
    optimiser = make_optimiser(Small(), learning_rate=0.2, weight_decay=0.05)
    assert [group["lr"] for group in optimiser.param_groups] == [0.2, 0.2]


def test_another_optimiser_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'lion'; there are sgd, adamw"):
        make_optimiser(Small(), kind="lion", learning_rate=0.1, weight_decay=0.0)


def test_long_gradients_are_shortened_and_short_ones_kept() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert clip_gradients([parameter, nn.Parameter(torch.zeros(1))], 1.0) == pytest.approx(5)
    assert parameter.grad.tolist() == pytest.approx([0.6, 0.8], abs=1e-5)
    assert clip_gradients([parameter], 10.0) == pytest.approx(1, abs=1e-5)
    assert parameter.grad.tolist() == pytest.approx([0.6, 0.8], abs=1e-5)


def test_gradients_that_are_not_finite_are_told_and_kept() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([math.nan, 4.0])
    assert math.isnan(clip_gradients([parameter], 1.0))
    assert parameter.grad[1] == 4
    assert clip_gradients([nn.Parameter(torch.zeros(1))], 1.0) == 0


def test_the_average_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = Average(network, 0.5, ramp=2.0)
    nn.init.constant_(network.weight, 3.0)
    average.update(network)  # decay 1/3
    assert float(average.network.weight) == pytest.approx(2.0)
    average.update(network)  # decay 1/2 from here on
    assert float(average.network.weight) == pytest.approx(2.5)
    average.update(network)
    assert float(average.network.weight) == pytest.approx(2.75)
    assert not average.network.weight.requires_grad


def test_the_average_takes_over_statistics_and_counts() -> None:
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.9, steps=1000)
    for _ in range(3):
        network(torch.randn(8, 2) + 5)
    average.update(network)
    assert int(average.network.num_batches_tracked) == 3
    assert torch.allclose(average.network.running_mean, network.running_mean * 0.1)
    assert not average.network.training
    with pytest.raises(ValueError, match="decay"):
        Average(network, 1.0)
