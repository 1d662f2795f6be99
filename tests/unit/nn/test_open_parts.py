"""Embeddings, residuals and blocks of other kinds, against slow versions and as part of a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_models import build, leaf
from torch import nn

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.nn.embedding import ValueEmbedding
from lmlab.nn.residual import FirstInputResidual
from lmlab.nn.transformer import Transformer, _check_values
from lmlab.training.generation import generate

SHAPE = {
    "vocab_size": 300, "context_length": 12, "d_model": 16, "num_layers": 3, "num_heads": 4,
    "d_ff": 20, "tie_embeddings": False, "norm": leaf("model/norm", "rms"),
    "pos": leaf("model/pos", "rope"), "ffn": leaf("model/ffn", "swiglu"),
    "attention": leaf("model/attention", "causal") | {"num_kv_heads": 2},
}  # fmt: skip
TOKENS = torch.arange(24).reshape(2, 12) * 11 % 300


def model(**parts: Any) -> Transformer:
    network = build(SHAPE | parts)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network


VALUE = leaf("model/embedding", "value")
X0 = leaf("model/residual", "x0")


def test_value_embeddings_are_added_to_the_values_of_first_and_last_layers() -> None:
    network = model(embedding=VALUE | {"num_tables": 1})
    embedding = network.embedding
    assert isinstance(embedding, ValueEmbedding)
    assert embedding.table_of_layer == [0, None, 0]
    assert [table.embedding_dim for table in embedding.tables] == [8], "two heads of width four"
    seen: list[torch.Tensor] = []
    for index, block in enumerate(network.blocks):
        attention = block.attention.sublayer
        plain = attention.v.forward

        def added(x: torch.Tensor, index: int = index, plain: Any = plain) -> torch.Tensor:
            values = plain(x)
            if index != 1:
                values = values + embedding.scale[index] * embedding.tables[0].weight[TOKENS]
            seen.append(values)
            return values

        attention.v.forward = added
    with torch.no_grad():
        expected_of = model(embedding=VALUE | {"num_tables": 1})
        found = expected_of(TOKENS)
        embedding.values = lambda tokens: None
        torch.testing.assert_close(network(TOKENS), found, rtol=1e-5, atol=1e-5)
    assert len(seen) == 3


def test_the_mix_with_the_first_input_is_that_of_its_equation() -> None:
    network = model(residual=X0)
    residual = network.residual
    assert isinstance(residual, FirstInputResidual)
    with torch.no_grad():
        first = x = network.embedding(TOKENS)
        for layer, block in enumerate(network.blocks):
            x = block(
                residual.stream[layer] * x + residual.first[layer] * first, None, None, None, None
            )
        expected = network.head(network.final_norm(x))
        torch.testing.assert_close(network(TOKENS), expected, rtol=1e-5, atol=1e-5)


def test_training_starts_from_the_plain_residual() -> None:
    network = build(SHAPE | {"residual": X0})
    plain = build(SHAPE)
    plain.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(network(TOKENS), plain(TOKENS))


@pytest.mark.parametrize(
    "parts",
    [{"embedding": VALUE}, {"residual": X0}, {"head": leaf("model/head", "softcap")}],
    ids=["value", "x0", "softcap"],
)  # fmt: skip
def test_future_tokens_change_no_earlier_logit_and_the_cache_no_text(parts: Any) -> None:
    network = model(**parts)
    later = TOKENS.clone()
    later[:, 7:] = (later[:, 7:] + 5) % 300
    with torch.no_grad():
        logits, others = network(TOKENS), network(later)
    assert torch.equal(logits[:, :7], others[:, :7])
    assert not torch.allclose(logits[:, 7:], others[:, 7:])
    prompt = TOKENS[0, :3].tolist()
    text = generate(network, [prompt], max_new_tokens=6, temperature=0)[0]
    for count in range(6):
        with torch.no_grad():
            expected = network(torch.tensor([prompt + text[:count]]))[0, -1].argmax()
        assert text[count] == int(expected)


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
    network = model()
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


def test_an_attention_that_takes_no_values_is_refused_with_value_embeddings() -> None:
    with pytest.raises(ConfigError, match="wants contains values"):
        _check_values([("values",), ()])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.embedding=value model.embedding.num_tables=9",
            "model.embedding.num_tables=9: expe",
        ),
        ("model.head=softcap model.head.cap=0", "model.head.cap=0: expected a finite number above"),
        ("model.head=zloss model.head.coefficient=-1", "model.head.coefficient=-1"),
        ("model.block.layer=3", "model.block.layer=3: this parameter is computed automatically"),
    ],
)
def test_settings_out_of_range_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(
            ["scale=smoke", *[f"++{one}" if ".layer" in one else one for one in override.split()]]
        )
    assert message in str(caught.value)
