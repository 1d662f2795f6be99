"""Parameters and FLOPs compared with torch's counts and with figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import attentions, build, options
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.distributed.state_layout import tensors_in
from lmlab.nn.loss import cross_entropy
from lmlab.optim.modes import has_modes


def test_parameters_equal_those_of_the_module(models: list[Any]) -> None:
    for model in [*models, *attentions()]:
        assert count_model(model).parameters == build(model).num_parameters(), model


@pytest.mark.parametrize(
    "every",
    [
        7,
        pytest.param(3, marks=pytest.mark.long),
        pytest.param(1, marks=[pytest.mark.long, pytest.mark.exhaustive]),
    ],
)
def test_flops_equal_torch_flop_counter(models: list[Any], every: int) -> None:
    for model in [*models[::every], *attentions()[::every]]:
        counted, network = count_model(model), build(model)
        tokens = torch.zeros(1, counted.context, dtype=torch.long)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            logits = network(tokens)
            forward = counter.get_total_flops()
            cross_entropy(logits, tokens).backward()
        assert counted.forward_flops() == forward, model
        assert network.forward_flops_per_token() * counted.context == forward, model
        assert counted.training_flops() == counter.get_total_flops(), model


def test_a_causal_kernel_computes_only_the_pairs_below_the_diagonal() -> None:
    counted = count_model(compose(["model=tiny"]).as_dict()["model"])
    scores = next(c for c in counted.components if c.name == "attention scores and mixing")
    for context in (1, 2, 7):
        visible = sum(1 for t in range(context) for s in range(context) if s <= t)
        total = scores.forward_flops(context)
        assert scores.forward_flops(context, causal=True) * context**2 == total * visible


@pytest.mark.parametrize(
    ("words", "parameters", "flops", "shares"),
    [
        (["model=gpt2_small"], 190_460_160, 349_630_365_696, (27.6, 49.8, 22.6)),
        (["model=gpt2_medium"], 505_629_696, 1_033_109_504_000, (29.9, 59.9, 10.2)),
        (["model=gpt2_large"], 1_072_469_760, 2_257_754_521_600, (30.0, 64.2, 5.8)),
        (["model=gpt2_xl"], 2_127_057_600, 4_513_336_524_800, (29.4, 66.9, 3.6)),
        (
            ["model=gpt2_xl", "model.context_length=16384"],
            2_127_057_600,
            149_522_795_724_800,
            (65.9, 32.3, 1.8),
        ),
        # 4,227,858,432 of the 9,533,652,992 are the feed-forward layers': 44.35 %.
        (["model=small_17m"], 22_696_448, 9_533_652_992, (28.2, 44.3, 27.5)),
    ],
)
def test_gpt2_costs_are_those_worked_out_by_hand(
    words: list[str], parameters: int, flops: int, shares: tuple[float, ...]
) -> None:
    counted = count_model(compose(words).as_dict()["model"])
    assert counted.parameters == parameters
    assert counted.forward_flops() == flops
    groups = ("attention", "feed-forward", "head")
    assert tuple(round(100 * counted.share(group), 1) for group in groups) == shares
    assert sum(counted.share(group) for group in groups) == pytest.approx(1)


@pytest.mark.parametrize("optim", options("optim"))
def test_the_state_of_an_optimizer_is_as_large_as_counted(optim: str) -> None:
    from lmlab.build import factory

    config = compose(["model.d_model=16", "model.num_layers=2", f"optim={optim}"])
    model = build_network(config.model)
    optimizer = factory.build_optimizer(resolve(config), model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    num_values = sum(one.numel() for one in tensors_in(dict(optimizer.state)) if one.ndim)
    counted = count_model(config.as_dict()["model"])
    counts = count_optimizer(config.as_dict()["optim"], counted)
    assert counts.state == num_values
    assert counts.evaluated == (counted.parameters if has_modes(optimizer) else 0)
