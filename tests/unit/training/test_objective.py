from __future__ import annotations

import functools

import pytest
import torch
from torch.nn import functional as F

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.chunked_loss import chunked_cross_entropy
from lmlab.nn.head import LinearHead
from lmlab.nn.kernel_set import KernelSet
from lmlab.nn.transformer import Transformer
from lmlab.training.objective import compile_objective, token_losses, training_objective


def tiny_model(tied: str = "true") -> Transformer:
    sizes = ["model.vocab_size=300", "model.context_length=16", "model.d_model=32",
             "model.num_layers=1", "model.num_heads=2"]  # fmt: skip
    return factory.build_model(resolve(compose([*sizes, f"model.tie_embeddings={tied}"])))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, 300, (3, 17), generator=torch.Generator().manual_seed(0))
    return tokens[:, :-1], tokens[:, 1:]


def language_loss(model: Transformer) -> torch.Tensor:
    return training_objective(model)(*batch()).language


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets() -> None:
    model, (inputs, targets) = tiny_model(), batch()
    log_probs = torch.log_softmax(model(inputs).double(), dim=-1)
    expected = [
        -log_probs[row, column, targets[row, column]].item()
        for row in range(3)
        for column in range(16)
    ]
    per_token = token_losses(model)(inputs, targets)
    assert per_token.shape == (48,)
    assert per_token.tolist() == pytest.approx(expected, rel=1e-5), "in the order of the targets"
    mean = language_loss(model)
    assert mean.item() == pytest.approx(sum(expected) / 48, rel=1e-6)


@pytest.mark.parametrize("tied", ["true", "false"])
@pytest.mark.parametrize("rows", [5, 16, 1000])  # 48 tokens: with a remainder, without, in one
def test_chunks_give_the_loss_and_gradients_of_all_logits_at_once(tied: str, rows: int) -> None:
    model = tiny_model(tied)
    parameters = list(model.parameters())
    full = language_loss(model)
    in_chunks = functools.partial(chunked_cross_entropy, rows=rows)
    assert model.use(KernelSet(head_loss=lambda vocabulary, device: in_chunks)) == {"head_loss"}
    chunked = language_loss(model)
    torch.testing.assert_close(chunked, full, rtol=1e-6, atol=0)
    expected = torch.autograd.grad(full, parameters)
    for ours, theirs in zip(torch.autograd.grad(chunked, parameters), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_another_head_loss_receives_the_head_input_its_weight_and_flat_targets() -> None:
    model = tiny_model()
    expected = language_loss(model)

    def head_loss(hidden_ND, weight_VD, targets_N):
        assert hidden_ND.shape == (48, 32)
        assert weight_VD is model.head.weight
        return F.cross_entropy(hidden_ND @ weight_VD.T, targets_N)

    model.use(KernelSet(head_loss=lambda vocabulary, device: head_loss))
    torch.testing.assert_close(language_loss(model), expected)


@pytest.mark.parametrize(("device", "expected"), [("mps", "aot_eager"), ("cpu", "inductor")])
def test_the_compiler_suits_the_device(
    device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = []
    monkeypatch.setattr(
        torch, "compile", lambda function, backend, dynamic: backends.append(backend)
    )
    compile_objective(training_objective(tiny_model()), torch.device(device))
    assert backends == [expected]


class ReportingHead(LinearHead):
    """Adds two terms to the loss and reports a metric twice."""

    def loss(self, x_BTD, targets_BT, terms):
        for value in (0.5, 0.25):
            terms.add_loss("decay", value * self.weight.square().mean())
            terms.add_metric("size", self.weight.abs().mean() * value)
        return super().loss(x_BTD, targets_BT, terms)


def test_terms_are_added_to_the_training_loss_and_recorded_beside_it() -> None:
    model = tiny_model("false")
    head = ReportingHead(d_model=32, vocab_size=300)
    head.weight, model.head = model.head.weight, head
    losses = training_objective(model)(*batch())
    weight = model.head.weight.detach()
    expected = token_losses(model)(*batch()).mean()
    torch.testing.assert_close(losses.language, expected)
    recorded = {name: float(one) for name, one in losses.recorded().items()}
    decay, size = 0.75 * float(weight.square().mean()), 0.375 * float(weight.abs().mean())
    assert recorded == {
        "loss": pytest.approx(float(expected)),
        "terms/decay": pytest.approx(decay),
        "terms/size": pytest.approx(size),
    }
    assert float(losses.total()) == pytest.approx(float(expected) + decay)
    (of_total,) = torch.autograd.grad(losses.total(), [head.weight], retain_graph=True)
    (of_language,) = torch.autograd.grad(losses.language, [head.weight])
    torch.testing.assert_close(of_total - of_language, 1.5 * weight / weight.numel())
