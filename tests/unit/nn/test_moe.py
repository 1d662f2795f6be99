"""The mixture of experts against slow references, by hand, and against transformers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lmlab.nn.experts import Expert
from lmlab.nn.ffn_width import auto_d_ff, expert_d_ff
from lmlab.nn.loss_terms import LossTerms
from lmlab.nn.moe import BALANCE, DROPPED, MAX_LOAD, ROUTER_Z, MoE
from lmlab.training.mixed_precision import Bf16Weights

D = 12
SETTINGS: dict[str, Any] = {
    "d_model": D, "d_ff": 10, "num_experts": 5, "top_k": 2, "num_shared_experts": 0,
    "scores": "softmax", "balance_coefficient": 0.5, "bias_update_rate": None,
    "z_loss_coefficient": 0.0, "capacity_factor": None,
}  # fmt: skip
VARIANTS: list[dict[str, Any]] = [
    {},
    {"top_k": 1},
    {"top_k": 5},
    {"num_shared_experts": 2},
    {"scores": "sigmoid"},
    {"scores": "sigmoid", "top_k": 1, "bias_update_rate": 0.1},
    {"bias_update_rate": 0.1, "num_shared_experts": 1},
    {"capacity_factor": 0.7},
    {"capacity_factor": 1.0, "top_k": 3, "scores": "sigmoid"},
]


def layer(**changes: Any) -> MoE:
    torch.manual_seed(0)
    built = MoE(**SETTINGS | changes)
    with torch.no_grad():
        built.router.weight.mul_(4)  # scores that differ clearly
        if built.selection_bias is not None:
            built.selection_bias.copy_(
                torch.tensor([0.3, -0.2, 0.0, 0.1, -0.4][: len(built.experts)])
            )
    return built


def tokens(seed: int = 1) -> Tensor:
    return torch.randn(3, 7, D, generator=torch.Generator().manual_seed(seed))


def swiglu(expert: Any, x: Tensor) -> Tensor:
    gate, up = expert.gate.weight @ x, expert.up.weight @ x
    return expert.down.weight @ (gate * torch.sigmoid(gate) * up)


def slow(moe: MoE, x_BTD: Tensor) -> Tensor:
    """The layer in training, one token and one expert at a time."""
    rows = x_BTD.reshape(-1, D)
    num_experts, used = len(moe.experts), [0] * len(moe.experts)
    most = math.inf
    if moe.capacity_factor is not None and moe.training:
        most = math.ceil(moe.capacity_factor * len(rows) * moe.top_k / num_experts)
    outputs = []
    for x in rows:
        logits = moe.router.weight @ x
        scores = torch.sigmoid(logits) if moe.uses_sigmoid else logits.exp() / logits.exp().sum()
        bias = [0.0] * num_experts if moe.selection_bias is None else moe.selection_bias.tolist()
        ranked = sorted(range(num_experts), key=lambda e: -(scores[e].item() + bias[e]))
        chosen = ranked[: moe.top_k]
        total = sum(scores[e] for e in chosen) if moe.top_k > 1 else 1.0
        y = torch.zeros(D) if moe.shared is None else swiglu(moe.shared, x)
        for e in chosen:
            used[e] += 1
            if used[e] <= most:
                y = y + scores[e] / total * swiglu(moe.experts[e], x)
        outputs.append(y)
    return torch.stack(outputs).view_as(x_BTD)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_outputs_and_gradients_equal_a_loop_over_tokens(changes: dict[str, Any]) -> None:
    moe, weight = layer(**changes), torch.randn(3, 7, D)
    found = []
    for compute in (moe, lambda x: slow(moe, x)):
        x = tokens().requires_grad_()
        y = compute(x)
        inputs = [x, *moe.parameters()]
        gradients = torch.autograd.grad((y * weight).sum(), inputs, materialize_grads=True)
        found.append((y, *gradients))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_outputs_and_gradients_equal_transformers_mixtral() -> None:
    pytest.importorskip("transformers")
    from transformers import MixtralConfig
    from transformers.models.mixtral import modeling_mixtral

    config = MixtralConfig(
        hidden_size=D, intermediate_size=10, num_local_experts=5, num_experts_per_tok=2,
        hidden_act="silu", router_jitter_noise=0.0,
    )  # fmt: skip
    config._experts_implementation = "eager"
    theirs, ours = modeling_mixtral.MixtralSparseMoeBlock(config), layer()
    with torch.no_grad():
        theirs.gate.weight.copy_(ours.router.weight)
        for number, expert in enumerate(ours.experts):
            joint = torch.cat([expert.gate.weight, expert.up.weight])
            theirs.experts.gate_up_proj[number] = joint
            theirs.experts.down_proj[number] = expert.down.weight
    inputs = [tokens().requires_grad_() for _ in range(2)]
    outputs = [ours(inputs[0]), theirs(inputs[1])]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        ours.router.weight.grad, theirs.gate.weight.grad, atol=1e-5, rtol=1e-5
    )


def with_logits(moe: MoE, logits: list[list[float]]) -> Tensor:
    """Set the router so that one-hot tokens have these logits; return the tokens (1, N, D)."""
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[:, : len(logits)] = torch.tensor(logits).T
    return torch.eye(len(logits), D)[None]


LOGITS = [[2.0, 1.0, 0.0], [3.0, 0.0, 1.0], [0.0, 4.0, 1.0], [2.0, 0.0, 0.5]]


def softmax(logits: list[float]) -> list[float]:
    exponentials = [math.exp(one) for one in logits]
    return [one / sum(exponentials) for one in exponentials]


def test_the_balance_loss_of_a_switch_layer_by_hand() -> None:
    """Fedus et al. 2022, equation 4: alpha N sum f_i P_i; tokens 0, 1 and 3 choose expert 0."""
    moe, terms = layer(num_experts=3, top_k=1), LossTerms()
    moe(with_logits(moe, LOGITS), terms)
    mean = [sum(column) / 4 for column in zip(*map(softmax, LOGITS), strict=True)]
    expected = 0.5 * 3 * (3 / 4 * mean[0] + 1 / 4 * mean[1])
    assert terms.losses[BALANCE].item() == pytest.approx(expected, rel=1e-6)
    assert float(terms.metrics[MAX_LOAD]) == pytest.approx(3 * 3 / 4)
    assert set(terms.losses) == {BALANCE} and DROPPED not in terms.metrics


def test_the_balance_loss_of_sigmoids_and_two_choices_by_hand() -> None:
    """DeepSeek-V3, equations 17 to 20: shares of the choices, sigmoids divided by their sum."""
    moe, terms = layer(num_experts=3, top_k=2, scores="sigmoid"), LossTerms()
    moe(with_logits(moe, LOGITS), terms)
    sigmoids = [[1 / (1 + math.exp(-one)) for one in logits] for logits in LOGITS]
    normed = [[one / sum(row) for one in row] for row in sigmoids]
    mean = [sum(column) / 4 for column in zip(*normed, strict=True)]
    # Choices: 0 and 1, 0 and 2, 1 and 2, 0 and 2.
    expected = 0.5 * 3 * (3 / 8 * mean[0] + 2 / 8 * mean[1] + 3 / 8 * mean[2])
    assert terms.losses[BALANCE].item() == pytest.approx(expected, rel=1e-6)


def test_balanced_experts_have_a_balance_loss_of_the_coefficient() -> None:
    logits = [[5.0 if e == n else 0.0 for e in range(3)] for n in range(3)]
    moe, terms = layer(num_experts=3, top_k=1), LossTerms()
    moe(with_logits(moe, logits), terms)
    assert terms.losses[BALANCE].item() == pytest.approx(0.5, rel=1e-6)


def test_the_z_loss_by_hand() -> None:
    """Zoph et al. 2022, equation 5."""
    moe, terms = layer(num_experts=3, balance_coefficient=0.0, z_loss_coefficient=0.2), LossTerms()
    moe(with_logits(moe, LOGITS), terms)
    squares = [math.log(sum(map(math.exp, row))) ** 2 for row in LOGITS]
    assert terms.losses[ROUTER_Z].item() == pytest.approx(0.2 * sum(squares) / 4, rel=1e-6)
    assert set(terms.losses) == {ROUTER_Z}


def test_the_losses_reach_the_router_alone() -> None:
    moe, terms = layer(z_loss_coefficient=0.1), LossTerms()
    moe(tokens(), terms)
    sum(terms.losses.values()).backward()
    trained = {name for name, one in moe.named_parameters() if one.grad is not None}
    assert trained == {"router.weight"} and bool(moe.router.weight.grad.any())


def test_over_capacity_the_first_tokens_are_kept() -> None:
    """Four tokens choose expert 0; ceil(1.5 * 4 / 3) = 2 of them are computed."""
    moe = layer(num_experts=3, top_k=1, capacity_factor=1.5)
    x, terms = with_logits(moe, [[2.0, 0.0, 0.0]] * 4), LossTerms()
    is_zero = (moe(x, terms) == 0).all(-1)[0].tolist()
    assert is_zero == [False, False, True, True]
    assert float(terms.metrics[DROPPED]) == 0.5
    moe.eval()
    assert not (moe(x) == 0).all(-1).any(), "evaluation drops nothing"


def test_equal_scores_choose_the_experts_with_the_lowest_numbers() -> None:
    moe, terms = layer(num_experts=4, top_k=2, bias_update_rate=0.1), LossTerms()
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.selection_bias.zero_()
    moe(tokens(), terms)
    assert moe.loads.tolist() == [21, 21, 0, 0]


@pytest.mark.parametrize("changes", [{}, {"capacity_factor": 0.6}, {"scores": "sigmoid"}], ids=str)
def test_later_tokens_of_a_sequence_change_nothing(changes: dict[str, Any]) -> None:
    """With a capacity too: in training, no token takes the place of an earlier one."""
    moe, x = layer(**changes), tokens()
    changed = x.clone()
    changed[0, 4:] = 9.0
    y, other = moe(x)[0], moe(changed)[0]
    torch.testing.assert_close(y[:4], other[:4], rtol=0, atol=1e-6)
    assert not torch.equal(y[4:], other[4:])


def test_biases_select_and_do_not_weigh() -> None:
    moe, x = layer(top_k=1, bias_update_rate=0.1), tokens()
    with torch.no_grad():
        moe.selection_bias.copy_(torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0]))
    rows = x.flatten(0, 1)
    gates = F.softmax(rows @ moe.router.weight.T, -1)[:, 2:3]
    torch.testing.assert_close(moe(x).flatten(0, 1), gates * moe.experts[2](rows))


def test_biases_move_against_the_loads_of_all_passes_since_the_last_update() -> None:
    """Wang et al. 2024, algorithm 1: up by the rate below the mean load, down above, else still."""
    moe = layer(num_experts=4, top_k=1, bias_update_rate=0.25)
    moe.selection_bias.zero_()
    first = [[9.0, 0.0, 0.0, 0.0]] * 3 + [[0.0, 9.0, 0.0, 0.0]] * 2
    second = [[0.0, 0.0, 9.0, 0.0]] * 1 + [[9.0, 0.0, 0.0, 0.0]] * 2
    for logits in (first, second):  # loads 5, 2, 1, 0: the mean is 2
        moe(with_logits(moe, logits), LossTerms())
    assert moe.loads.tolist() == [5, 2, 1, 0]
    moe.after_update()
    assert moe.selection_bias.tolist() == [-0.25, 0.0, 0.25, 0.25]
    assert moe.loads.tolist() == [0, 0, 0, 0]
    moe.eval()
    moe(with_logits(moe, first))
    assert moe.loads.tolist() == [0, 0, 0, 0], "evaluation does not count"
    moe.after_update()
    assert moe.selection_bias.tolist() == [-0.25, 0.0, 0.25, 0.25]


def test_only_biases_are_saved() -> None:
    assert set(layer(bias_update_rate=0.1).state_dict()) - set(layer().state_dict()) == {
        "selection_bias"
    }


def test_the_router_of_one_expert_per_token_is_trained_by_the_output() -> None:
    moe = layer(top_k=1)
    moe(tokens()).square().sum().backward()
    assert float(moe.router.weight.grad.norm()) > 1e-3


def test_an_expert_without_tokens_has_a_gradient_of_zero() -> None:
    """So that all ranks have gradients of the same parameters."""
    moe = layer(top_k=1)
    moe(with_logits(moe, [[5.0, 0.0, 0.0, 0.0, 0.0]])).sum().backward()
    assert bool(moe.experts[0].up.weight.grad.any())
    assert not bool(moe.experts[3].up.weight.grad.any())


def test_the_policy_bf16_leaves_the_router_in_float32() -> None:
    moe = layer(bias_update_rate=0.1)
    copy: Any = Bf16Weights(moe).model  # type: ignore[arg-type] # any module
    assert copy.router.weight is moe.router.weight
    assert {one.dtype for one in copy.experts.parameters()} == {torch.bfloat16}
    x = tokens().bfloat16().requires_grad_()
    y = copy(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16
    assert moe.router.weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), moe(x.float()), atol=0.02, rtol=0.02)
    assert moe.loads.sum() == 2 * 3 * 7 * 2, "both count in the same buffer"


def test_a_token_uses_about_the_weights_of_a_dense_layer() -> None:
    for width in (96, 128, 512, 1600):
        for used in (1, 2, 3, 8):
            weights = used * expert_d_ff(width, used)
            assert weights == pytest.approx(auto_d_ff(width, gated=True), abs=4 * used)
    assert expert_d_ff(384, 1) == auto_d_ff(384, gated=True) == 1024
    assert [expert_d_ff(width, 2) for width in (8, 128, 512)] == [32, 160, 672]
    assert MoE(**SETTINGS | {"d_ff": None, "d_model": 128}).experts[0].up.weight.shape == (160, 128)


def test_an_expert_equals_its_formula() -> None:
    expert, x = Expert(d_model=D, d_ff=10), tokens()[0]
    torch.testing.assert_close(expert(x), torch.stack([swiglu(expert, one) for one in x]))
