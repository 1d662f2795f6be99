"""The objects of a run are built from what its configuration says."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from lmlab.build import factory
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import compose
from lmlab.data.batches import Batches
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.runs.auto_settings import choose_device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.checkpoint import NoCheckpoints


def spec_of(overrides: list[str]) -> RunSpec:
    return resolve(compose(overrides))


class Ranks(Communicator):
    """One of several ranks, as far as the division of a batch goes."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.parallel = rank, size, "ddp"


def test_weights_follow_the_seed_of_initialization_alone(overrides: list[str]) -> None:
    def weights(*more: str) -> torch.Tensor:
        model = factory.build_model(spec_of([*overrides, *more]))
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(weights(), weights())
    assert torch.equal(weights(), weights("seeds.data=9", "seeds.sampling=9", "optim.lr=1"))
    assert not torch.equal(weights(), weights("seeds.init=9"))


def test_a_scratch_network_takes_other_sizes_and_finite_weights(overrides: list[str]) -> None:
    spec = spec_of(overrides)
    sizes = {"num_layers": 1, "context_length": 5}
    network = factory.build_scratch_network(spec, choose_device(spec), sizes)
    assert (len(network.blocks), network.context_length) == (1, 5)
    assert len(factory.build_scratch_network(spec, choose_device(spec)).blocks) == 2
    assert torch.isfinite(network(torch.zeros(2, 5, dtype=torch.long))).all()


def test_every_parameter_is_optimized_once_and_starts_from_its_peak_rate(
    overrides: list[str],
) -> None:
    spec = spec_of([*overrides, "optim.lr=0.0123"])
    model = factory.build_model(spec)
    optimizer = factory.build_optimizer(spec, model)
    owned = [id(one) for group in optimizer.param_groups for one in group["params"]]
    assert sorted(owned) == sorted(id(one) for one in model.parameters())
    assert all(group["initial_lr"] == group["lr"] == 0.0123 for group in optimizer.param_groups)


def test_the_schedule_ends_at_the_last_step(overrides: list[str]) -> None:
    spec = spec_of([*overrides, "training.steps=40", "schedule=linear", "schedule.warmup_steps=4"])
    schedule = factory.build_schedule(spec)
    factors = [schedule(step) for step in range(40)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4:] == sorted(factors[4:], reverse=True)
    longer = factory.build_schedule(spec_of(["schedule=linear", "schedule.warmup_steps=4",
                                             "training.steps=80"]))  # fmt: skip
    assert longer(39) > factors[39]


def test_ranks_share_each_batch_without_overlap(overrides: list[str]) -> None:
    spec = spec_of([*overrides, "training.batch_size=6"])
    data = prepare_data(spec.data)
    total, _ = factory.build_batches(spec, data).batch(3)
    parts = [
        factory.build_batches(spec, data, comm=Ranks(rank, 3)).batch(3)[0] for rank in range(3)
    ]
    assert [len(part) for part in parts] == [2, 2, 2]
    assert np.array_equal(np.concatenate(parts), total)


def test_micro_batches_change_memory_and_not_gradients(overrides: list[str]) -> None:
    """Sums in another order differ in their last bits."""
    found = []
    for micro in ("null", "1", "2"):
        spec = spec_of([*overrides, f"training.micro_batch_size={micro}"])
        device = choose_device(spec)
        state = factory.build_state(spec, device)
        model: Any = state.model
        inputs, targets = factory.build_batches(spec, prepare_data(spec.data)).batch(0)
        compute = factory.build_gradients(spec, model, device)
        compute(torch.as_tensor(inputs), torch.as_tensor(targets))
        found.append(torch.cat([one.grad.flatten() for one in model.parameters()]))
    for one, other in itertools.pairwise(found):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_flops_of_an_update_are_three_forward_passes(overrides: list[str]) -> None:
    spec = spec_of([*overrides, "training.batch_size=5"])
    model = factory.build_model(spec)
    forward = model.forward_flops_per_token()
    assert factory.training_flops(model, spec.workload) == 3 * forward * 5 * 16


def test_evaluation_covers_the_tokens_that_are_asked_for(overrides: list[str]) -> None:
    spec = spec_of([*overrides, "validation.max_tokens=32"])
    data = prepare_data(spec.data)
    device = choose_device(spec)
    model = factory.build_model(spec)
    assert factory.build_evaluator(spec.workload, data, device).evaluate(model).num_tokens == 32
    full = spec_of([*overrides, "validation.max_tokens=null"])
    found = factory.build_evaluator(full.workload, data, device).evaluate(model)
    assert found.num_tokens == data.valid.num_tokens - 1


def test_kept_checkpoints_are_those_that_are_asked_for(overrides: list[str], tmp_path: Any) -> None:
    spec = spec_of([*overrides, "checkpoint.keep_last=2", "checkpoint.keep_steps=[2]"])
    state = factory.build_state(spec, choose_device(spec))
    checkpoints = factory.build_checkpoints(spec.workload, tmp_path)
    for step in range(1, 6):
        state.progress.step = step
        checkpoints.save(state)
    checkpoints.wait()
    assert checkpoints.steps() == [2, 4, 5]


@pytest.mark.parametrize("size", [1, 2])
def test_the_loop_has_the_intervals_of_the_run_and_the_batch_of_its_rank(
    overrides: list[str], size: int
) -> None:
    spec = spec_of([*overrides, "training.grad_clip_norm=0.5", "training.divergence_margin=2"])
    device, data = choose_device(spec), prepare_data(spec.data)
    comm = SINGLE_PROCESS if size == 1 else Ranks(1, size)
    trainer = factory.build_trainer(
        spec, device, data, factory.build_state(spec, device), comm,
        checkpoints=NoCheckpoints(), record=lambda row: None, stop=SignalHandler(),
        keep_items=lambda *item: None,
    )  # fmt: skip
    settings = trainer.settings
    assert (settings.steps, settings.log_every) == (20, 5)
    assert (settings.validate_every, settings.save_every) == (10, 5)
    assert (settings.grad_clip_norm, settings.divergence_margin) == (0.5, 2.0)
    assert (settings.num_ranks, settings.show_progress) == (size, size == 1)
    assert isinstance(trainer.batches, Batches)
    assert len(trainer.batches.batch(0)[0]) == 4 // size
    gradients: Any = trainer.gradients
    assert gradients.gradients.micro_batch_size == 4 // size
