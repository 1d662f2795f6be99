from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer
from lmlab.training import objective
from lmlab.training.objective import chunked_loss, compile_objective, full_logits_loss


def tiny_model(tied: str = "true") -> Transformer:
    sizes = ["model.vocab_size=300", "model.context_length=16", "model.d_model=32",
             "model.num_layers=1", "model.num_heads=2"]  # fmt: skip
    return factory.build_model(resolve(compose([*sizes, f"model.tie_embeddings={tied}"])))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, 300, (3, 17), generator=torch.Generator().manual_seed(0))
    return tokens[:, :-1], tokens[:, 1:]


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets() -> None:
    model, (inputs, targets) = tiny_model(), batch()
    log_probs = torch.log_softmax(model(inputs).double(), dim=-1)
    expected = [
        -log_probs[row, column, targets[row, column]].item()
        for row in range(3)
        for column in range(16)
    ]
    per_token = full_logits_loss(model, reduction="none")(inputs, targets)
    assert per_token.shape == (48,)
    assert per_token.tolist() == pytest.approx(expected, rel=1e-5), "in the order of the targets"
    mean = full_logits_loss(model)(inputs, targets)
    assert mean.item() == pytest.approx(sum(expected) / 48, rel=1e-6)


@pytest.mark.parametrize("tied", ["true", "false"])
@pytest.mark.parametrize("rows", [5, 16, 1000])  # 48 tokens: with a remainder, without, in one
def test_chunks_give_the_loss_and_gradients_of_all_logits_at_once(
    tied: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "chunk_rows", lambda vocabulary, device: rows)
    model, (inputs, targets) = tiny_model(tied), batch()
    parameters = list(model.parameters())
    full = full_logits_loss(model)(inputs, targets)
    chunked = chunked_loss(model)(inputs, targets)
    torch.testing.assert_close(chunked, full, rtol=1e-6, atol=0)
    expected = torch.autograd.grad(full, parameters)
    for ours, theirs in zip(torch.autograd.grad(chunked, parameters), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_another_head_loss_receives_the_head_input_its_weight_and_flat_targets() -> None:
    model, (inputs, targets) = tiny_model(), batch()

    def head_loss(hidden_ND, weight_VD, targets_N):
        assert hidden_ND.shape == (48, 32)
        assert weight_VD is model.head.weight
        return F.cross_entropy(hidden_ND @ weight_VD.T, targets_N)

    loss = chunked_loss(model, head_loss)(inputs, targets)
    torch.testing.assert_close(loss, full_logits_loss(model)(inputs, targets))


@pytest.mark.parametrize(("device", "expected"), [("mps", "aot_eager"), ("cpu", "inductor")])
def test_the_compiler_suits_the_device(
    device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = []
    monkeypatch.setattr(
        torch, "compile", lambda function, backend, dynamic: backends.append(backend)
    )
    compile_objective(full_logits_loss(tiny_model()), torch.device(device))
    assert backends == [expected]
