from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lmlab.build.factory import build_model, build_optimizer
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.optim.clip import clip_gradients
from lmlab.optim.groups import parameter_groups
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.state import Progress, TrainState

SMALL = [
    "model.vocab_size=300", "model.context_length=8", "model.d_model=16", "model.num_layers=2",
    "model.num_heads=2", "model.d_ff=24",
]  # fmt: skip


def test_groups_hold_every_weight_once_and_decay_matrices_only() -> None:
    model = build_model(
        resolve(
            compose(
                [*SMALL, "model.num_layers=1", "model.pos=learned", "model.attention.qk_norm=true"]
            )
        )
    )
    groups = {group["name"]: group for group in parameter_groups(model)}
    assert {name: group["names"] for name, group in groups.items()} == {
        "embedding": ["embedding.weight", "pos.weight", "head.weight"],
        "vectors": [
            "blocks.0.attention.norm.weight",
            "blocks.0.attention.sublayer.q_norm.weight",
            "blocks.0.attention.sublayer.k_norm.weight",
            "blocks.0.ffn.norm.weight",
            "final_norm.weight",
        ],
        "hidden": [
            "blocks.0.attention.sublayer.q.weight",
            "blocks.0.attention.sublayer.k.weight",
            "blocks.0.attention.sublayer.v.weight",
            "blocks.0.attention.sublayer.out.weight",
            "blocks.0.ffn.sublayer.gate.weight",
            "blocks.0.ffn.sublayer.up.weight",
            "blocks.0.ffn.sublayer.down.weight",
        ],
    }
    assert groups["vectors"]["weight_decay"] == 0.0
    assert "weight_decay" not in groups["hidden"]


def test_a_model_without_norms_has_no_empty_group() -> None:
    model = build_model(resolve(compose([*SMALL, "model.norm=none", "model.tie_embeddings=true"])))
    groups = parameter_groups(model)
    assert sorted(group["name"] for group in groups) == ["embedding", "hidden"]
    names = [name for group in groups for name in group["names"]]
    assert "head.weight" not in names, "a tied weight is updated once"


@pytest.mark.parametrize("optim", ["adamw", "sgd", "muon"])
def test_decay_shrinks_matrices_and_leaves_gains_alone(optim: str) -> None:
    config = compose([*SMALL, f"optim={optim}", "optim.weight_decay=0.5", "optim.lr=0.1"])
    model = build_model(resolve(config))
    optimizer = build_optimizer(resolve(config), model)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            assert torch.equal(weight, before[name]), name
        else:
            assert float(weight.detach().norm()) < float(before[name].norm()), name


def gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_adamw_equals_the_published_algorithm() -> None:
    config = compose([*SMALL, "optim.lr=0.01", "optim.weight_decay=0.1"])
    model = build_model(resolve(config))
    optimizer = build_optimizer(resolve(config), model)
    theta = {name: weight.detach().double() for name, weight in model.named_parameters()}
    m = {name: torch.zeros_like(value) for name, value in theta.items()}
    v = {name: torch.zeros_like(value) for name, value in theta.items()}
    for t in range(1, 6):
        gradients(model, t)
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            g = weight.grad.double()
            decay = 0.1 if weight.ndim >= 2 else 0.0
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.95 * v[name] + 0.05 * g * g
            step = m[name] / (1 - 0.9**t) / ((v[name] / (1 - 0.95**t)).sqrt() + 1e-8)
            theta[name] = theta[name] - 0.01 * (step + decay * theta[name])
        optimizer.step()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach().double(), theta[name], rtol=1e-5, atol=1e-6)


needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon")


@needs_muon
def test_muon_updates_hidden_matrices_and_adamw_the_rest() -> None:
    config = compose([*SMALL, "optim=muon", "optim.lr=0.02", "optim.adamw_lr=0.003"])
    model, twin = build_model(resolve(config)), build_model(resolve(config))
    ours = build_optimizer(resolve(config), model)
    hidden = [w for n, w in twin.named_parameters() if n.startswith("blocks.") and w.ndim == 2]
    matrices = [
        w for n, w in twin.named_parameters() if w.ndim == 2 and not n.startswith("blocks.")
    ]
    vectors = [w for w in twin.parameters() if w.ndim < 2]
    muon = torch.optim.Muon(
        hidden, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, ns_steps=5,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adamw = torch.optim.AdamW(
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.003, betas=(0.9, 0.95), weight_decay=0.1,
    )  # fmt: skip
    assert [group["initial_lr"] for group in ours.param_groups] == [
        0.02 if group["name"] == "hidden" else 0.003 for group in ours.param_groups
    ]
    for step in range(4):
        gradients(model, step)
        gradients(twin, step)
        ours.step()
        muon.step()
        adamw.step()
    for (name, mine), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, msg=name)


def test_a_torch_without_muon_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    config = compose([*SMALL, "optim=muon"])
    with pytest.raises(ConfigError, match=r"optim=muon: torch .* needs torch 2\.9"):
        build_optimizer(resolve(config), build_model(resolve(config)))


@pytest.mark.parametrize("optim", ["adamw", "sgd", pytest.param("muon", marks=needs_muon)])
def test_going_on_from_a_saved_state_is_bit_identical(tmp_path: Path, optim: str) -> None:
    config = compose([*SMALL, f"optim={optim}"])

    def state() -> TrainState:
        model = build_model(resolve(config))
        return TrainState(model, build_optimizer(resolve(config), model), Progress())

    def take(at: TrainState, steps: range) -> None:
        for step in steps:
            gradients(at.model, step)
            for group in at.optimizer.param_groups:
                group["lr"] = group["initial_lr"] / (step + 1)
            at.optimizer.step()

    straight = state()
    take(straight, range(3))
    Checkpoints(tmp_path).save(straight)
    take(straight, range(3, 6))
    resumed = state()
    assert Checkpoints(tmp_path).restore_latest(resumed)
    take(resumed, range(3, 6))
    pairs = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


class TestClipping:
    """Against torch's own."""

    @staticmethod
    def weights(scale: float) -> list[nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        made = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2, 2))]
        for weight in made:
            weight.grad = scale * torch.randn(weight.shape, generator=generator)
        return [*made, nn.Parameter(torch.zeros(2))]  # the last one has no gradient

    @pytest.mark.parametrize("scale", [0.01, 10.0])
    def test_equals_torch(self, scale: float) -> None:
        ours, theirs = self.weights(scale), self.weights(scale)
        norm = clip_gradients(ours, 1.0)
        torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs, 1.0))
        for mine, other in zip(ours[:-1], theirs[:-1], strict=True):
            torch.testing.assert_close(mine.grad, other.grad)

    def test_none_only_measures(self) -> None:
        ours, before = self.weights(10.0), self.weights(10.0)
        norm = clip_gradients(iter(ours), None)
        expected = torch.cat([w.grad.flatten() for w in before[:-1] if w.grad is not None]).norm()
        torch.testing.assert_close(norm, expected)
        assert all(
            torch.equal(a.grad, b.grad)  # type: ignore[arg-type]
            for a, b in zip(ours[:-1], before[:-1], strict=True)
        )
