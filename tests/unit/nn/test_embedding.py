"""Value embeddings, against their equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model_of_parts import TOKENS, model_of
from small_models import leaf

from lmlab.errors import ConfigError
from lmlab.nn.embedding import ValueEmbedding
from lmlab.nn.transformer import _check_values

VALUE = leaf("model/embedding", "value")


def test_value_embeddings_are_added_to_the_values_of_first_and_last_layers() -> None:
    network = model_of(embedding=VALUE | {"num_tables": 1})
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
        expected_of = model_of(embedding=VALUE | {"num_tables": 1})
        found = expected_of(TOKENS)
        embedding.values = lambda tokens: None
        torch.testing.assert_close(network(TOKENS), found, rtol=1e-5, atol=1e-5)
    assert len(seen) == 3


def test_an_attention_that_takes_no_values_is_refused_with_value_embeddings() -> None:
    with pytest.raises(ConfigError, match="wants contains values"):
        _check_values([("values",), ()])
