"""Windows and latents in ``config.json``, there and back."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.hf.attention_settings import (
    FULL,
    SLIDING,
    AttentionSettings,
    latent_from_hf,
    latent_sizes,
    lmlab_window,
    transformers_window,
)


def settings(*overrides: str) -> AttentionSettings:
    chosen = [f"model.attention.{one}" for one in overrides]
    return AttentionSettings(
        compose(["model.num_layers=5", "model.context_length=64", *chosen]).model.as_dict()
    )


def written(**changes: Any) -> dict[str, Any]:
    return {
        "num_hidden_layers": 5, "max_position_embeddings": 64, "sliding_window": 16
    } | changes  # fmt: skip


def test_a_pattern_gives_the_window_to_its_local_layers() -> None:
    found = settings("window=16", "window_pattern=[local,local,global]")
    assert (found.kind, found.window) == ("causal", 16)
    assert found.layer_types == [SLIDING, SLIDING, FULL, SLIDING, SLIDING]
    assert not found.has_window_everywhere()
    assert settings("window=16").has_window_everywhere()
    assert found.to_transformers()["layer_types"] == found.layer_types
    assert found.to_lmlab() == {"window": 16, "window_layers": [True, True, False, True, True]}


@pytest.mark.parametrize("window", ["null", 64])
def test_a_window_that_hides_no_token_is_not_written(window: object) -> None:
    found = settings(f"window={window}")
    assert found.window is None and found.layer_types == [FULL] * 5
    assert found.to_transformers() == found.to_lmlab() == {}


@pytest.mark.parametrize(
    ("is_local", "pattern"),
    [
        ("LLGLL", ["local", "local", "global"]),
        ("LLLLL", ["local"]),
        ("LGLGL", ["local", "global"]),
        ("GLLLL", ["global", "local", "local", "local", "local"]),
    ],
)
def test_the_shortest_pattern_that_repeats_is_read(is_local: str, pattern: list[str]) -> None:
    expected = {"window": 16, "window_pattern": pattern}
    kinds = [SLIDING if one == "L" else FULL for one in is_local]
    assert transformers_window(written(layer_types=kinds), default_layers=0) == expected
    of_lmlab = {"window": 16, "window_layers": [one == "L" for one in is_local]}
    assert lmlab_window(of_lmlab) == expected


def test_layers_without_types_have_the_window_after_the_first_ones() -> None:
    found = transformers_window(written(), default_layers=2)
    assert found["window_pattern"] == ["global", "global", "local", "local", "local"]
    assert transformers_window(written(), default_layers=9) == {}
    assert transformers_window(written(sliding_window=64), default_layers=0) == {}
    assert transformers_window(written(sliding_window=None), default_layers=0) == {}
    assert lmlab_window({}) == {}


@pytest.mark.parametrize("kinds", [[FULL] * 4, ["chunked_attention"] * 5])
def test_other_types_of_layers_are_refused(kinds: list[str]) -> None:
    with pytest.raises(DataError, match=r"layer_types=.*expected full_attention or sliding"):
        transformers_window(written(layer_types=kinds), default_layers=0)


@pytest.mark.parametrize("rank", [None, 6])
def test_latent_widths_are_read_as_they_were_written(rank: int | None) -> None:
    node = {"kv_lora_rank": 12, "q_lora_rank": rank, "d_nope": 8, "d_rope": 4, "d_value": 10}
    model = compose(["model.attention=mla"]).model.as_dict()
    found = AttentionSettings(model | {"attention": model["attention"] | node})
    config = found.to_lmlab()
    assert config == {
        "attention": "latent", "kv_lora_rank": 12, "q_lora_rank": rank, "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4, "v_head_dim": 10, "latent_norm_eps": 1e-6,
    }  # fmt: skip
    assert latent_sizes(found.widths()).items() <= config.items()
    read = latent_from_hf(config)
    assert {key: read[key] for key in node} == node
    assert read["_target_"] == model["attention"]["_target_"]
