from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lmlab.errors import ConfigError
from lmlab.nn.latent_attention import LatentAttention
from lmlab.nn.pos import ALiBi, NoPE, Positions, RoPE

WIDTH, HEADS, T = 24, 4, 7
VARIANTS: list[dict[str, Any]] = [
    {},
    {"q_lora_rank": 5},
    {"kv_lora_rank": 3, "d_nope": 4, "d_rope": 2, "d_value": 6},  # values as wide as keys
    {"kv_lora_rank": 9, "q_lora_rank": 8, "d_nope": 5, "d_rope": 6, "d_value": 3},
]


def rope(parameters: dict[str, Any]) -> RoPE:
    width = LatentAttention.rotated_width(
        d_model=WIDTH, num_heads=HEADS, d_rope=parameters.get("d_rope")
    )
    return RoPE(d_model=WIDTH, d_head=width, context_length=16, theta=100.0)


def make(parameters: dict[str, Any], pos: Positions | None = None) -> LatentAttention:
    torch.manual_seed(0)
    layer = LatentAttention(
        d_model=WIDTH, num_heads=HEADS, pos=rope(parameters) if pos is None else pos, **parameters
    )
    for gain in layer.parameters():
        if gain.ndim == 1:  # gains other than 1 reveal a misplaced norm
            torch.nn.init.uniform_(gain, 0.5, 1.5)
    return layer


def tokens(length: int = T) -> torch.Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(1))


def rms(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean() + 1e-6).sqrt() * gain


def by_hand(layer: LatentAttention, x_BTD: torch.Tensor) -> torch.Tensor:
    """Equations 9 to 19 of DeepSeek-V2, one token and head at a time."""
    (pos,) = layer._pos
    weights = {name: weight for name, weight in layer.named_parameters()}
    sizes = layer.widths
    outputs = torch.zeros_like(x_BTD)

    def rotated(x: torch.Tensor, t: int) -> torch.Tensor:
        return pos.rotate(x[None, None, None], torch.tensor([[t]]))[0, 0, 0]

    def rows(name: str, head: int, width: int) -> torch.Tensor:
        return weights[f"{name}.weight"][head * width : (head + 1) * width]

    for b in range(len(x_BTD)):
        hidden = list(x_BTD[b])
        latents = [
            rms(weights["kv_down.weight"] @ h, weights["kv_latent_norm.weight"]) for h in hidden
        ]
        shared = [rotated(weights["k_rope.weight"] @ h, t) for t, h in enumerate(hidden)]
        for t, h in enumerate(hidden):
            if sizes.q_rank is not None:
                h = rms(weights["q_down.weight"] @ h, weights["q_latent_norm.weight"])
            for head in range(HEADS):
                name = "q" if sizes.q_rank is None else "q_up"
                query = rows(name, head, sizes.d_key) @ h
                content, place = query[: sizes.d_nope], rotated(query[sizes.d_nope :], t)
                scores = torch.stack([
                    content @ (rows("k_up", head, sizes.d_nope) @ latents[s]) + place @ shared[s]
                    for s in range(t + 1)
                ])  # fmt: skip
                shares = torch.softmax(scores / math.sqrt(sizes.d_key), 0)
                values = [rows("v_up", head, sizes.d_value) @ latents[s] for s in range(t + 1)]
                own = slice(head * sizes.d_value, (head + 1) * sizes.d_value)
                outputs[b, t] += weights["out.weight"][:, own] @ (shares @ torch.stack(values))
    return outputs


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_output_equals_the_equations(parameters: dict[str, Any]) -> None:
    layer = make(parameters)
    with torch.no_grad():
        expected = by_hand(layer, tokens())
        torch.testing.assert_close(layer(tokens()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_queries_in_the_space_of_the_latents_give_the_same_output(
    parameters: dict[str, Any],
) -> None:
    layer, x = make(parameters), tokens()
    cache = layer.make_cache(
        batch_size=2, max_length=T, device=torch.device("cpu"), dtype=torch.float32
    )
    outputs = []
    for start, end in ((0, 3), (3, 4), (4, T)):
        positions = torch.arange(start, end).expand(2, -1)
        mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
        outputs.append(layer(x[:, start:end], positions, cache, mask.expand(2, -1, -1)))
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(IndexError, match="cache of 7 tokens: cannot hold 8 tokens"):
        layer(x[:, :1], torch.tensor([[7], [7]]), cache, torch.ones(2, 1, 8, dtype=torch.bool))


def test_the_cache_holds_latents_and_rotated_keys_alone() -> None:
    layer = make(VARIANTS[3])
    cache = layer.make_cache(
        batch_size=2, max_length=5, device=torch.device("cpu"), dtype=torch.float32
    )
    tensors = {name: x for name, x in vars(cache).items() if isinstance(x, torch.Tensor)}
    assert sum(x.numel() for x in tensors.values()) == 2 * 5 * (9 + 6)
    layer(tokens(3), torch.arange(3).expand(2, -1), cache, torch.ones(2, 3, 3, dtype=torch.bool))
    kept = {name: x[1:].clone() for name, x in tensors.items()}
    cache.keep_rows(torch.tensor([1]))
    for name, x in kept.items():
        assert torch.equal(getattr(cache, name), x)


def test_masks_and_explicit_positions_count() -> None:
    layer, x = make({}), tokens()
    causal = (torch.arange(T)[None, :] <= torch.arange(T)[:, None]).expand(2, -1, -1)
    torch.testing.assert_close(layer(x, None, None, causal), layer(x))
    later = torch.arange(3, 3 + T).expand(2, -1)
    torch.testing.assert_close(layer(x, later), layer(x))  # RoPE: distances only
    assert not torch.allclose(layer(x, 2 * torch.arange(T).expand(2, -1)), layer(x), atol=1e-4)


def test_without_rotation_the_order_of_earlier_tokens_does_not_matter() -> None:
    x = tokens(6)
    order = torch.tensor([3, 0, 2, 4, 1, 5])
    plain = make({}, NoPE(d_model=WIDTH, d_head=4, context_length=16))
    torch.testing.assert_close(plain(x)[:, -1], plain(x[:, order])[:, -1])
    layer = make({})
    assert not torch.allclose(layer(x)[:, -1], layer(x[:, order])[:, -1], atol=1e-4)


def test_an_encoding_that_adds_to_the_scores_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.attention=mla: expected a position encoding"):
        make({}, ALiBi(d_model=WIDTH, d_head=6, context_length=16))
