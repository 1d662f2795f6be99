"""Sizes of activations against the weights that they come from."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lmlab.build import factory
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import compose
from lmlab.demos.activation_sizes import (
    ATTENTION,
    EMBEDDING,
    KINDS,
    LOGITS,
    RESIDUAL,
    measure_sizes,
)


@pytest.fixture
def spec(overrides: list[str]) -> RunSpec:
    return resolve(compose([*overrides, "model.param=completep", "model.param.base_num_layers=1"]))


def test_sizes_are_means_over_layers_of_what_is_added(spec: RunSpec) -> None:
    data = prepare_data(spec.data)
    sizes = measure_sizes(spec, data, steps=0, batch_size=3)
    assert sizes is not None and list(sizes) == list(KINDS)
    model = factory.build_model(spec)
    inputs = torch.as_tensor(factory.build_batches(spec, data).batch(0)[0])[:3]
    with torch.no_grad():
        x = model.embedding(inputs)
        expected, streams, added = float(x.abs().mean()), [], []
        for block in model.blocks:
            branch = block.attention
            hooks = dict(branch.sublayer._forward_hooks)
            branch.sublayer._forward_hooks.clear()
            update = branch.sublayer(branch.norm(x)) / 2  # half of it: twice the base depth
            branch.sublayer._forward_hooks.update(hooks)
            x = block(x, None, None, None)
            added.append(float(update.abs().mean()))
            streams.append(float(x.abs().mean()))
        logits = float(model(inputs).abs().mean())
    assert sizes[EMBEDDING].start == pytest.approx(expected)
    assert sizes[ATTENTION].start == pytest.approx(sum(added) / 2, rel=1e-5)
    assert sizes[RESIDUAL].start == pytest.approx(sum(streams) / 2, rel=1e-5)
    assert sizes[LOGITS].start == pytest.approx(logits, rel=1e-5)
    assert all(one.change == 0 and one.start == one.end for one in sizes.values())


def test_updates_change_activations_and_an_overflow_is_none(spec: RunSpec) -> None:
    data = prepare_data(spec.data)
    sizes = measure_sizes(spec, data, steps=2, batch_size=4)
    assert sizes is not None and all(one.change > 0 for one in sizes.values())
    huge = dataclasses.replace(
        spec, optimizer=dataclasses.replace(spec.optimizer,
                                            parameters={**spec.optimizer.parameters, "lr": 1e38})
    )  # fmt: skip
    assert measure_sizes(huge, data, steps=2, batch_size=4) is None
