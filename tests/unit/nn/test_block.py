"""What blocks want, and what they get."""

from __future__ import annotations

import torch
from model_of_parts import TOKENS, model_of
from torch import nn


class EarlierBlock(nn.Module):
    """A block that reads everything that there is."""

    wants = ("tokens", "first", "earlier", "terms")

    def __init__(self, *, attention, ffn, norm, d_model, dropout, residual_factor, layer):
        super().__init__()
        self.layer, self.attention = layer, norm.wrap(attention, d_model)

    def forward(self, x, positions, cache, mask, tokens, first, earlier, terms):
        assert torch.equal(tokens, TOKENS) and len(earlier) == self.layer and terms is None
        total = first if not earlier else sum(earlier, start=first)
        return self.attention(x + 0.1 * total, positions, cache, mask)


def test_a_block_gets_what_it_wants() -> None:
    network = model_of()
    for layer, block in enumerate(network.blocks):
        own = EarlierBlock(
            attention=block.attention.sublayer, ffn=None, norm=PlainBranches(), d_model=16,
            dropout=0.0, residual_factor=1.0, layer=layer,
        )  # fmt: skip
        network.blocks[layer] = own
        network._wants[layer] = own.wants
    with torch.no_grad():
        assert network(TOKENS).shape == (2, 12, 300)


class PlainBranches:
    def wrap(self, sublayer, d_model):
        return sublayer
