"""The loop: it learns, goes on as if never ended, leaves alone what is frozen, and keeps the last good state."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import ConfigError, ModelError
from stages.models.nano.network import Nano
from stages.models.training import train as loop
from stages.models.training.average import Average
from stages.models.training.checkpoint import read_checkpoint
from stages.models.training.history import Step, read_lines
from stages.models.training.readers import TrainingFailed
from stages.models.training.replicas import Replica, run_replicas
from stages.models.training.run_state import RunState
from stages.models.training.stream import LearningSet
from stages.models.training.train import STATE, WEIGHTS, train
from tests.stages.models.training.pictures import Squares, recipe, sets


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / WEIGHTS).network.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_it_learns_and_tells_of_it(tmp_path: Path) -> None:
    told: list[Step] = []
    settings = recipe(steps=60, validate_every=20, augment={"mosaic": 0.2, "mixup": 0.1, "copy_paste": 0.2})
    assert train(settings, sets(), tmp_path, held_out=sets(2), tell=told.append)
    learnt = [step for step in told if step.terms]
    assert sum(learnt[-1].terms.values()) < 0.8 * sum(learnt[0].terms.values())
    looks = [step for step in told if step.validation]
    assert [step.number for step in looks] == [20, 40, 60]
    assert sum(looks[-1].validation.values()) < sum(looks[0].validation.values())
    assert [line["step"] for line in read_lines(tmp_path / "log.jsonl")] == [step.number for step in told]


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_a_training_that_was_ended_goes_on_as_if_it_had_not_been(tmp_path: Path, kind: str) -> None:
    settings = recipe(augment={"mosaic": 0.3}, optimiser={"kind": kind, "rate": 2e-3})
    train(settings, sets(), tmp_path / "whole")
    asked = iter([False, False, True])
    assert not train(settings, sets(), tmp_path / "parts", interrupted=lambda: next(asked))
    assert not same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert train(settings, sets(), tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        train(recipe(steps=2, seed=seed), sets(), tmp_path / name)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_a_folder_of_another_recipe_is_left_alone(tmp_path: Path) -> None:
    train(recipe(steps=2), sets(), tmp_path)
    before = (tmp_path / STATE).read_bytes()
    with pytest.raises(ModelError, match="another recipe"):
        train(recipe(steps=3), sets(), tmp_path)
    assert (tmp_path / STATE).read_bytes() == before


def test_a_training_goes_on_without_what_it_began_with(tmp_path: Path) -> None:
    train(recipe(steps=1), sets(), tmp_path / "first")
    settings = recipe(start=str(tmp_path / "first" / WEIGHTS))
    train(settings, sets(), tmp_path / "whole")
    asked = iter([False, True])
    assert not train(settings, sets(), tmp_path / "parts", interrupted=lambda: next(asked))
    (tmp_path / "first" / WEIGHTS).unlink()
    assert train(settings, sets(), tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_training_goes_on_over_a_log_that_is_broken_and_gives_missing_weights_back(tmp_path: Path) -> None:
    asked = iter([False, True])
    assert not train(recipe(), sets(), tmp_path, interrupted=lambda: next(asked))
    (tmp_path / "log.jsonl").write_bytes(b'\xff\xfe\n{"step": 1, "loss": {}}\n{"step": 2, "loss": 3, "rate": 0}\n[1]\n')
    assert train(recipe(readers=1, validate_every=2, checkpoint_every=1), sets(), tmp_path, held_out=sets(2))
    assert [line["step"] for line in read_lines(tmp_path / "log.jsonl")] == [4, 6, 6]
    before = weights(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    assert train(recipe(), sets(), tmp_path)
    assert same(before, weights(tmp_path))


def test_held_out_pictures_that_are_never_drawn_are_not_looked_at(tmp_path: Path) -> None:
    told: list[Step] = []
    assert train(recipe(steps=3), sets(), tmp_path, held_out=sets(2, weight=0.0), tell=told.append)
    assert [step.validation for step in told] == [{}]


@pytest.mark.parametrize(
    "header", [None, {"format": 1}, {"format": 2, "step": 1, "averaged": 1, "recipe": "x"}], ids=["none", "few", "two"]
)
def test_a_state_that_is_none_of_ours_is_refused(tmp_path: Path, header: dict[str, object] | None) -> None:
    metadata = None if header is None else {"everyframe-training": json.dumps(header)}
    save_file({"network.x": torch.zeros(1)}, tmp_path / STATE, metadata)
    with pytest.raises(ModelError, match=r"state\.safetensors: (cannot be read as|is) the state of a training"):
        train(recipe(), sets(), tmp_path)


def test_what_an_optimiser_remembers_comes_back_laid_out_as_the_weights(tmp_path: Path) -> None:
    states = []
    for _ in range(2):
        network = Nano(recipe().network_config(recipe().taxonomy())).to(memory_format=torch.channels_last)
        states.append(RunState(network, Average(network, 0.9), torch.optim.AdamW(network.parameters())))
    weight = states[0].network.pyramid.down8[0].weight
    for parameter in states[0].network.parameters():
        parameter.grad = torch.randn_like(parameter)
    states[0].optimiser.step()
    states[0].save(tmp_path / STATE, recipe="one")
    states[1].load(tmp_path / STATE, recipe="one")
    kept = states[1].optimiser.state[states[1].network.pyramid.down8[0].weight]["exp_avg"]
    assert torch.equal(kept, states[0].optimiser.state[weight]["exp_avg"])
    assert kept.stride() == weight.stride() != kept.contiguous().stride()


@pytest.mark.parametrize(
    ("parts", "moved", "still"),
    [("heads", "semantic", "backbone"), ("boxes", "heads", "semantic"), ("masks", "semantic", "heads")],
)
def test_what_is_not_trained_stays(tmp_path: Path, parts: str, moved: str, still: str) -> None:
    train(recipe(steps=1), sets(), tmp_path / "first")
    start = str(tmp_path / "first" / WEIGHTS)
    train(recipe(steps=3, parts=parts, start=start), sets(), tmp_path / "second")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith(still))
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(moved))


def test_a_loss_that_is_no_number_keeps_the_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = recipe(steps=4, checkpoint_every=2)
    real = loop.total_loss
    calls = iter(range(100))

    def broken(*args: object, **how: object) -> dict[str, torch.Tensor]:
        terms = real(*args, **how)  # type: ignore[arg-type]
        return terms if next(calls) < 2 else {**terms, "boxes": terms["boxes"] * float("nan")}

    monkeypatch.setattr(loop, "total_loss", broken)
    with pytest.raises(
        TrainingFailed, match=r"step 3: the loss of boxes is no finite number.*state\.safetensors.*rate"
    ):
        train(good, sets(), tmp_path)
    monkeypatch.undo()
    assert train(good, sets(), tmp_path)
    train(good, sets(), tmp_path.with_name("never"))
    assert same(weights(tmp_path), weights(tmp_path.with_name("never")))


def test_a_full_disk_is_told_and_the_checkpoint_before_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(steps=4, checkpoint_every=2)
    real, calls = Path.write_bytes, iter(range(100))

    def full(self: Path, data: bytes) -> int:
        if next(calls) > 2:  # weights, state and log of the first checkpoint
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingFailed, match=r"step 4: .*cannot be written: No space left on device; .*same command"):
        train(settings, sets(), tmp_path)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "nano.safetensors", "state.safetensors"]
    assert train(settings, sets(), tmp_path)


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to learn from"):
        train(recipe(), [LearningSet(pictures=Squares(0))], tmp_path)


def test_a_start_of_other_classes_is_refused(tmp_path: Path) -> None:
    train(recipe(steps=1), sets(), tmp_path / "first")
    other = {"things": {"person": [], "dog": []}, "stuff": {"road": []}}
    with pytest.raises(ModelError, match="other classes"):
        train(recipe(classes=other, start=str(tmp_path / "first" / WEIGHTS)), sets(), tmp_path / "second")
    with pytest.raises(ModelError, match="no such file"):
        train(recipe(start=str(tmp_path / "missing.safetensors")), sets(), tmp_path / "third")


def test_readers_of_their_own_give_the_same_weights(tmp_path: Path) -> None:
    train(recipe(steps=2), sets(), tmp_path / "none")
    train(recipe(steps=2, readers=2), sets(), tmp_path / "two")
    assert same(weights(tmp_path / "none"), weights(tmp_path / "two"))


def _copy(replica: Replica, tell: object, interrupted: object, *, folder: Path, broken: bool = False) -> bool:
    rate = 1e9 if broken else 2e-3
    settings = recipe(steps=2 if not broken else 40, optimiser={"rate": rate if not broken else 9.0, "clip": 1e9})
    return train(settings, sets(), folder, replica=replica, tell=tell)  # type: ignore[arg-type]


@pytest.mark.long
def test_two_copies_end_with_the_same_weights_and_the_first_keeps_them(tmp_path: Path) -> None:
    told: list[Step] = []
    assert run_replicas(2, partial(_copy, folder=tmp_path), told.append)
    assert [step.number for step in told] == [2]
    assert np.isfinite(sum(told[0].terms.values()))
    assert isinstance(read_checkpoint(tmp_path / WEIGHTS).network, Nano)


def _failing(replica: Replica, tell: object, interrupted: object) -> bool:
    raise ModelError(f"copy {replica.rank} cannot")


@pytest.mark.slow
def test_a_copy_that_fails_ends_the_others_and_says_why() -> None:
    with pytest.raises(ModelError, match=r"copy [01] cannot"):
        run_replicas(2, _failing)


def _patient(replica: Replica, tell: object, interrupted: object) -> bool:
    while not interrupted():  # type: ignore[operator]
        pass
    return False


@pytest.mark.slow
def test_copies_end_when_somebody_wants_it() -> None:
    assert not run_replicas(2, _patient, interrupted=lambda: True)
