"""Parametrizations against an independent implementation, and their properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.build.factory import build_model, build_optimizer
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.nn.transformer import Transformer
from lmlab.runtime.random_streams import derive_seed

BASE_WIDTH, BASE_HEAD, WIDTH, HEAD = 32, 8, 96, 16
SHARED = [
    "model.vocab_size=300", "model.context_length=12", "model.num_layers=2", "optim.eps=1e-12",
    "optim.weight_decay=0.3", "optim.lr=0.004",
]  # fmt: skip
BASE = [f"model.param.base_d_model={BASE_WIDTH}", f"model.param.base_d_head={BASE_HEAD}"]
MUP = ["model.param=mup", *BASE]


def sizes(width: int, head: int) -> list[str]:
    return [f"model.d_model={width}", f"model.num_heads={width // head}", f"model.d_ff={3 * width}"]


def built(*overrides: str) -> tuple[Transformer, torch.optim.Optimizer]:
    spec = resolve(compose([*SHARED, *overrides]))
    model = build_model(spec)
    return model, build_optimizer(spec, model)


def tokens() -> Tensor:
    return torch.randint(0, 300, (4, 12), generator=torch.Generator().manual_seed(3))


def activations(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """The output of each block's parts, by name of the module, and the logits."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, given, output: found.__setitem__(name, output.detach())

    hooks = [part.register_forward_hook(keep(name)) for name, part in model.named_modules()
             if name.endswith(("attention", "ffn", "embedding"))]  # fmt: skip
    found["logits"] = model(inputs).detach()
    for hook in hooks:
        hook.remove()
    return found


def first_update(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Take a step on the loss; return the change of each parameter."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    logits = model(tokens()[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), tokens()[:, 1:].flatten()).backward()
    optimizer.step()
    return {name: weight.detach() - before[name] for name, weight in model.named_parameters()}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(value.norm()) > 0, name
        assert float((found[name] - value).norm()) <= 1e-5 * float(value.norm()), name


SGD = ["optim=sgd", "optim.momentum=0.9", "~optim.eps"]


def packages_model(init: str) -> Transformer:
    """The model of the standard parametrization, which the package ``mup`` turns into muP."""
    mup = pytest.importorskip("mup", reason="pip install --no-deps mup==1.0.0")

    def standard(width: int, head: int) -> Transformer:
        model = build_network(compose([*SHARED, *sizes(width, head), init]).model)
        model.head = mup.MuReadout(width, 300, bias=False)
        return model

    model = standard(WIDTH, HEAD)
    base, delta = standard(BASE_WIDTH, BASE_HEAD), standard(2 * BASE_WIDTH, 2 * BASE_HEAD)
    mup.set_base_shapes(model, base, delta=delta, rescale_params=False)
    for name, weight in model.named_parameters():
        torch.manual_seed(derive_seed(0, name))
        if weight.ndim < 2:
            continue
        if init.endswith("xavier_uniform"):
            mup.init.xavier_uniform_(weight)
        else:
            std = 0.02 / 2 if name.endswith((".out.weight", ".down.weight")) else 0.02
            mup.init.normal_(weight, std=std)

    def attention(q: Tensor, k: Tensor, v: Tensor, pos: Any) -> Tensor:
        q, k = pos.rotate(q, None), pos.rotate(k, None)
        scale = math.sqrt(BASE_HEAD) / q.shape[-1]
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)

    model.use_causal_attention(attention)
    return model


@pytest.mark.parametrize(
    ("init", "optim"),
    [("model.init=normal", ["optim=adamw"]), ("model.init=xavier_uniform", SGD)],
    ids=str,
)
def test_mup_equals_the_package_of_its_authors(init: str, optim: list[str]) -> None:
    mup = pytest.importorskip("mup", reason="pip install --no-deps mup==1.0.0")
    theirs = packages_model(init)
    decayed = [weight for weight in theirs.parameters() if weight.ndim > 1]
    groups = [
        {"params": decayed},
        {"params": [w for w in theirs.parameters() if w.ndim < 2], "weight_decay": 0.0},
    ]
    if optim[0] == "optim=adamw":
        optimizer = mup.MuAdamW(groups, lr=0.004, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.3)
    else:
        optimizer = mup.MuSGD(groups, lr=0.004, momentum=0.9, weight_decay=0.3)
    ours, our_optimizer = built(*sizes(WIDTH, HEAD), *MUP, init, *optim)
    assert_close(activations(ours, tokens()), activations(theirs, tokens()))
    assert_close(first_update(ours, our_optimizer), first_update(theirs, optimizer))


def written_out_logits(weights: dict[str, Tensor], inputs: Tensor, width_ratio: float) -> Tensor:
    """A Transformer with NoPE, RMSNorm and SiLU, with the products of table 8 written out."""

    def normed(x: Tensor, gain: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain

    x = weights["embedding.weight"][inputs]
    count = inputs.shape[1]
    hidden = torch.full((count, count), -math.inf).triu(1)
    for layer in range(2):
        part = f"blocks.{layer}.attention."
        y = normed(x, weights[f"{part}norm.weight"])
        q, k, v = ((y @ weights[f"{part}sublayer.{name}.weight"].T).unflatten(-1, (-1, HEAD))
                   for name in "qkv")  # fmt: skip
        scores = torch.einsum("bthk,bshk->bhts", q, k) * math.sqrt(BASE_HEAD) / HEAD + hidden
        mixed = torch.einsum("bhts,bshk->bthk", scores.softmax(-1), v).flatten(2)
        x = x + mixed @ weights[f"{part}sublayer.out.weight"].T
        part = f"blocks.{layer}.ffn."
        y = F.silu(
            normed(x, weights[f"{part}norm.weight"]) @ weights[f"{part}sublayer.up.weight"].T
        )
        x = x + y @ weights[f"{part}sublayer.down.weight"].T
    return normed(x, weights["final_norm.weight"]) @ weights["head.weight"].T / width_ratio


def test_mup_equals_its_table_written_out() -> None:
    parts = ["model.pos=nope", "model.ffn=silu", "model.init=normal"]
    ours, optimizer = built(*sizes(WIDTH, HEAD), *MUP, *parts)
    standard, _ = built(*sizes(WIDTH, HEAD), *parts)
    ratio = WIDTH / BASE_WIDTH
    weights = {name: weight.detach().clone() for name, weight in standard.named_parameters()}
    for name, weight in weights.items():
        if name.startswith("blocks.") and weight.ndim == 2:
            weight.div_(math.sqrt(ratio))
        weight.requires_grad_()
    assert_close({"logits": ours(tokens()).detach()},
                 {"logits": written_out_logits(weights, tokens(), ratio).detach()})  # fmt: skip
    logits = written_out_logits(weights, tokens()[:, :-1], ratio)
    F.cross_entropy(logits.flatten(0, 1), tokens()[:, 1:].flatten()).backward()
    expected = {}
    for name, weight in weights.items():
        assert weight.grad is not None
        is_hidden = name.startswith("blocks.") and weight.ndim == 2
        rate = 0.004 / ratio if is_hidden else 0.004
        decay = 0.3 * (ratio if is_hidden else 1) if weight.ndim == 2 else 0
        step = weight.grad / (weight.grad.abs() + 1e-12)  # the first of Adam
        expected[name] = -rate * (step + decay * weight.detach())
    assert_close(first_update(ours, optimizer), expected)


def test_completep_equals_its_table_written_out() -> None:
    depth, ratio, alpha = 4 / 2, WIDTH / BASE_WIDTH, 0.75
    model, optimizer = built(
        *sizes(WIDTH, HEAD), "model.num_layers=4", "optim=adamw", "optim.eps=1e-6",
        "model.param=completep", *BASE, "model.param.base_num_layers=2",
        f"model.param.alpha={alpha}",
    )  # fmt: skip
    assert model.residual_factor == depth**-alpha
    assert model.logit_factor == 1 / ratio
    found = {name: group for group in optimizer.param_groups for name in group["names"]}
    for name, weight in model.named_parameters():
        group, in_block = found[name], name.startswith("blocks.")
        is_hidden = in_block and weight.ndim == 2
        rate = 0.004 * (depth ** (alpha - 1) if in_block else 1) / (ratio if is_hidden else 1)
        eps = 1e-6 * (depth**-alpha / ratio if in_block else 1)
        decay = 0.3 * (ratio if is_hidden else 1) if weight.ndim == 2 else 0
        assert group["lr"] == pytest.approx(rate, rel=1e-12), name
        assert group["eps"] == pytest.approx(eps, rel=1e-12), name
        assert group["weight_decay"] == pytest.approx(decay, rel=1e-12), name


def test_completep_adds_outputs_in_proportion_to_the_depth() -> None:
    """Twice the layers with half of each output, at equal weights, from the same embedding."""
    shape = [*sizes(WIDTH, HEAD), "model.num_layers=4", "model.init=normal"]
    standard, _ = built(*shape)
    model, _ = built(
        *shape, "model.param=completep", f"model.param.base_d_model={WIDTH}",
        f"model.param.base_d_head={HEAD}", "model.param.base_num_layers=2",
    )  # fmt: skip
    weights = dict(standard.named_parameters())
    for name, weight in model.named_parameters():
        scale = math.sqrt(2) if name.endswith((".out.weight", ".down.weight")) else 1.0
        assert torch.allclose(weight, weights[name] * scale, rtol=1e-6), name
    block = model.blocks[0].attention
    x = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(0))
    expected = x + block.sublayer(block.norm(x))
    block.sublayer._forward_hooks.clear()
    assert torch.allclose(expected - x, (block(x) - x) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("param", "optim"),
    [("mup", "adamw"), ("mup", "sgd"), ("mup", "muon"), ("completep", "adamw")],
)
def test_the_base_shape_is_the_standard_parametrization_bit_for_bit(param: str, optim: str) -> None:
    more = ["model.param.base_num_layers=2", "model.param.alpha=0.7"] if param != "mup" else []
    shape = [*sizes(BASE_WIDTH, BASE_HEAD), f"optim={optim}", "model.init=normal"]
    shape += ["~optim.eps"] if optim == "sgd" else []
    ours, our_optimizer = built(*shape, f"model.param={param}", *BASE, *more)
    standard, optimizer = built(*shape)
    pairs = zip(our_optimizer.param_groups, optimizer.param_groups, strict=True)
    for group, expected in pairs:
        assert {k: v for k, v in group.items() if k != "params"} == {
            k: v for k, v in expected.items() if k != "params"
        }
    ours_logits, logits = ours(tokens()), standard(tokens())
    assert torch.equal(ours_logits, logits)
    updates, expected_updates = first_update(ours, our_optimizer), first_update(standard, optimizer)
    assert all(torch.equal(updates[name], one) for name, one in expected_updates.items())


def test_tied_embeddings_and_learned_positions_keep_their_rate() -> None:
    model, optimizer = built(
        *sizes(WIDTH, HEAD), *MUP, "model.tie_embeddings=true", "model.pos=learned",
        "model.attention.qk_norm=true", "model.attention.num_kv_heads=2",
    )  # fmt: skip
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
    assert rates.keys() == dict(model.named_parameters()).keys()
    for name, rate in rates.items():
        is_hidden = name.startswith("blocks.") and not name.endswith("norm.weight")
        assert rate == pytest.approx(0.004 / 3 if is_hidden else 0.004), name


def groups_by_name(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    return {name: group for group in optimizer.param_groups for name in group["names"]}


def test_one_scale_for_all_features_has_a_gradient_without_width() -> None:
    """The scale of dynamic tanh sums over the width, where a gain has a gradient per feature."""
    sgd = groups_by_name(built(*sizes(WIDTH, HEAD), *MUP, "model.norm=dyt", *SGD)[1])
    depth, ratio, alpha = 2, WIDTH / BASE_WIDTH, 0.75
    completep = groups_by_name(
        built(
            *sizes(WIDTH, HEAD), "model.num_layers=4", "model.norm=dyt", "optim.eps=1e-6",
            "model.param=completep", *BASE, "model.param.base_num_layers=2",
            f"model.param.alpha={alpha}",
        )[1]
    )  # fmt: skip
    for place, in_block in (("blocks.1.ffn.norm", True), ("final_norm", False)):
        scale, gain = f"{place}.alpha", f"{place}.weight"
        assert sgd[scale]["lr"] == pytest.approx(0.004)
        assert sgd[gain]["lr"] == pytest.approx(0.004 * ratio)
        for name, width in ((scale, 1), (gain, ratio)):
            rate = 0.004 * (depth ** (alpha - 1) if in_block else 1)
            eps = 1e-6 * (depth**-alpha / width if in_block else 1)
            assert completep[name]["lr"] == pytest.approx(rate)
            assert completep[name]["eps"] == pytest.approx(eps)
            assert completep[name]["weight_decay"] == 0


@pytest.mark.parametrize("attention", ["gated", "mla"])
def test_gates_and_latents_scale_as_the_other_matrices_in_blocks(attention: str) -> None:
    chosen = [f"model.attention={attention}", "model.init=normal", *MUP]
    chosen += ["model.attention.q_lora_rank=24"] if attention == "mla" else []
    model, optimizer = built(*sizes(WIDTH, HEAD), *chosen)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
    for name, weight in model.named_parameters():
        is_hidden = name.startswith("blocks.") and weight.ndim == 2
        assert rates[name] == pytest.approx(0.004 / 3 if is_hidden else 0.004), name
        if is_hidden and not name.endswith((".out.weight", ".down.weight")):
            # The standard deviation is that of the base shape, divided by sqrt(3).
            assert float(weight.detach().std()) == pytest.approx(0.02 / math.sqrt(3), rel=0.1), name
    # Scores are divided by K in place of sqrt(K), relative to the base shape.
    factor = math.sqrt(BASE_HEAD / HEAD)
    assert model.blocks[0].attention.sublayer.query_factor == pytest.approx(factor)


CASES = [
    (["model.param.base_d_model=0"], r"model\.param\.base_d_model=0: expected 1 or more"),
    (["model.param.base_d_ff=0"], r"model\.param\.base_d_ff=0: expected 1 or more"),
    (["model.param.update_rule=adam"], r"update_rule=adam: expected one of auto, adamw"),
    (["optim._target_=torch.optim.NAdam", "~optim.betas", "~optim.eps"],
     r"optim\._target_=torch\.optim\.NAdam: expected an optimizer whose learning rates MuP scales"),
    (["model.param=completep", "model.param.alpha=0.4"], r"alpha=0\.4: expected 0\.5 to 1"),
    (["model.param=completep", "optim=sgd"], r"sgd: expected an optimizer for which CompleteP"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), CASES, ids=str)
def test_settings_that_do_not_fit_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(["model.param=mup", *overrides])


def test_your_own_optimizer_is_scaled_by_the_rule_that_you_name() -> None:
    spec = resolve(compose([*SHARED, *sizes(WIDTH, HEAD), *MUP, "model.param.update_rule=adamw",
                            "optim._target_=torch.optim.NAdam"]))  # fmt: skip
    optimizer = build_optimizer(spec, build_model(spec))
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"embedding": 0.004, "vectors": 0.004, "hidden": 0.004 / 3})


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    yield
