"""Small models of many combinations of parts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import yaml

from lmlab.build.network import build_network
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import Model, build_tree
from lmlab.nn.transformer import Transformer


def leaf(group: str, option: str) -> dict[str, Any]:
    """The content of an option's file."""
    content = yaml.safe_load(Path(conf_folder(), group, f"{option}.yaml").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(conf_folder(), group).glob("*.yaml"))


_STRIDE = 11  # divides no number of options


def combinations() -> list[dict[str, Any]]:
    """The node ``model`` of norms, positions, feed-forward, key/value heads, tied or not.

    Every two options of two of these meet in a model.
    """
    found = []
    embeddings, residuals, heads = (
        [leaf(f"model/{group}", option) for option in options(f"model/{group}")]
        for group in ("embedding", "residual", "head")
    )
    parts = list(itertools.product(
        options("model/norm"), options("model/pos"), options("model/ffn"),
        [None, 1, 2], [False, True], [False, True],
    ))  # fmt: skip
    chosen = list(enumerate(parts))[::_STRIDE]
    assert _pairs(parts) == _pairs([one for _, one in chosen]), "choose another stride"
    for number, (norm, pos, ffn, kv_heads, tied, qk_norm) in chosen:
        # Sizes differ from one to the next, so that no two of them can be mistaken for each other.
        found.append(
            {
                "vocab_size": 260 + number % 7,
                "context_length": 5 + number % 11,
                "d_model": (16, 24, 32)[number % 3],
                "num_layers": 1 + number % 2,
                "num_heads": 4,
                "d_ff": ("auto", 20, 36)[number // 3 % 3],
                "tie_embeddings": tied,
                "norm": leaf("model/norm", norm),
                "pos": leaf("model/pos", pos),
                "ffn": leaf("model/ffn", ffn),
                "attention": leaf("model/attention", "causal")
                | {"num_kv_heads": kv_heads, "qk_norm": qk_norm},
                "embedding": _with_tables(embeddings[number // 5 % len(embeddings)], number % 2),
                "residual": residuals[number // 7 % len(residuals)],
                "head": heads[number // 3 % len(heads)],
            }
        )
    return found


def attentions() -> list[dict[str, Any]]:
    """The node ``model`` of other attention than the plain one, with and without windows."""
    window = {"window": 3, "window_pattern": ["local", "global", "local"]}
    narrow = {"kv_lora_rank": 7, "d_nope": 5, "d_rope": 4, "d_value": 9}  # values as wide as keys
    chosen = [
        leaf("model/attention", option) | settings
        for option, settings in (
            *((kind, window | more) for kind in ("causal", "gated")
              for more in ({}, {"num_kv_heads": 2}, {"num_kv_heads": 1, "qk_norm": True})),
            ("gated", {}), ("gated", {"qk_norm": True, "num_kv_heads": 2}),
            ("mla", {}), ("mla", {"q_lora_rank": 5}), ("mla", narrow),
        )
    ]  # fmt: skip
    models = combinations()
    return [
        models[17 * number % len(models)]  # other norms, encodings and feed-forward layers
        | {
            "attention": attention,
            "pos": leaf("model/pos", ("rope", "nope", "learned")[number % 3]),
            "embedding": leaf("model/embedding", "tokens"),
            "num_layers": 3,
            "context_length": length,  # in blocks of the window, and over all pairs
        }
        for number, (attention, length) in enumerate(itertools.product(chosen, (12, 7)))
    ]


def _with_tables(embedding: dict[str, Any], last_layer: int) -> dict[str, Any]:
    """Give an embedding no more tables than there are layers."""
    return embedding | ({"num_tables": 1 + last_layer} if "num_tables" in embedding else {})


def _pairs(choices: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    return {pair for one in choices for pair in itertools.combinations(enumerate(one), 2)}


def build(model: dict[str, Any]) -> Transformer:
    return build_network(build_tree(Model, {"init": leaf("model/init", "normal")} | model))
