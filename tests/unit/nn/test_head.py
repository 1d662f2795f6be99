"""Heads: softcap and z-loss against their equations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lmlab.nn.head import LinearHead, SoftcapHead, ZLossHead
from lmlab.nn.kernel_set import KernelSet
from lmlab.nn.loss_terms import LossTerms

D, V = 8, 20


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 5, D, generator=generator)
    return x, torch.randint(0, V, (2, 5), generator=generator)


def test_softcap_is_that_of_gemma_2() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=V, hidden_size=D, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, head_dim=4, final_logit_softcapping=3.0,
    )  # fmt: skip
    theirs = Gemma2ForCausalLM(config).eval()
    ours = SoftcapHead(d_model=D, vocab_size=V, cap=3.0)
    ours.weight = theirs.lm_head.weight
    with torch.no_grad():
        theirs.lm_head.weight.mul_(200)  # so that the bound matters
        tokens = draw(0)[1]
        output = theirs(tokens, output_hidden_states=True)
        logits = ours(output.hidden_states[-1])
    assert float(logits.abs().max()) > 2.5
    torch.testing.assert_close(logits, output.logits, rtol=1e-5, atol=1e-5)


def test_softcap_bounds_logits_and_its_loss_is_theirs() -> None:
    x, targets = draw(1)
    head = SoftcapHead(d_model=D, vocab_size=V, cap=2.0)
    logits = head(100 * x)
    assert float(logits.abs().max()) <= 2.0
    losses = head.loss(x, targets, LossTerms())
    torch.testing.assert_close(losses, F.cross_entropy(head(x).flatten(0, 1), targets.flatten()))


def test_z_loss_is_the_mean_square_of_the_log_normaliser() -> None:
    x, targets = draw(2)
    head, terms = ZLossHead(d_model=D, vocab_size=V, coefficient=0.25), LossTerms()
    loss = head.loss(x, targets, terms)
    rows = [row @ head.weight.detach().double().T for row in x.flatten(0, 1).double()]
    normalisers = [float(row.exp().sum().log()) for row in rows]
    expected = sum(z * z for z in normalisers) / len(normalisers)
    assert float(terms.losses["z_loss"]) == pytest.approx(0.25 * expected, rel=1e-5)
    plain = LinearHead(d_model=D, vocab_size=V)
    plain.weight = head.weight
    torch.testing.assert_close(loss, plain.loss(x, targets, LossTerms()))
    assert torch.equal(head(x), plain(x)), "evaluation and generation see plain logits"


@pytest.mark.parametrize("kind", [SoftcapHead, ZLossHead])
def test_heads_whose_loss_is_another_take_no_kernel_of_the_plain_one(kind: type) -> None:
    head = kind(d_model=D, vocab_size=V)
    assert head.use(KernelSet(head_loss=lambda vocabulary, device: None)) == set()
    assert head.head_loss is None
