from __future__ import annotations

import weakref

import pytest
import torch
from part_choices import ATTENTIONS, choices, options

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer

SMALL = [
    "model.vocab_size=300", "model.context_length=16", "model.d_model=24", "model.num_layers=2",
    "model.num_heads=4", "model.d_ff=32",
]  # fmt: skip


CHOICES = [
    *choices(), ["model.attention.num_kv_heads=2"], ["model.attention.qk_norm=true"],
    ["model.tie_embeddings=true"], ["model.embedding=value"], ["model.residual=x0"],
    ["model.head=softcap"], ["model.head=zloss"],
    *ATTENTIONS,
]  # fmt: skip


def model(*overrides: str) -> Transformer:
    return build_model(resolve(compose([*SMALL, *overrides]))).eval()


def tokens(length: int = 16, batch: int = 2) -> torch.Tensor:
    return torch.randint(0, 300, (batch, length), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("choice", CHOICES, ids=",".join)
def test_future_tokens_change_no_earlier_logit(choice: list[str]) -> None:
    net = model(*choice)
    embedded: list[torch.Tensor] = []

    def keep(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[0]

    net.embedding.register_forward_hook(keep)
    logits = net(tokens(12, 1))
    for t in (0, 5, 11):
        (gradient,) = torch.autograd.grad(logits[0, t].square().sum(), embedded, retain_graph=True)
        reach = gradient[0].abs().sum(-1)
        assert torch.equal(reach[t + 1 :], torch.zeros(11 - t)), "the future is seen"
        assert bool((reach[: t + 1] > 0).all()), "the past is not seen"


@pytest.mark.parametrize("window", [3, 4])  # over all pairs, and in blocks
def test_a_window_in_every_layer_reaches_further_with_each_layer(window: int) -> None:
    net = model(f"model.attention.window={window}")
    kept: list[torch.Tensor] = []

    def keep(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    net.embedding.register_forward_hook(keep)
    logits = net(tokens(16, 1))
    (gradient,) = torch.autograd.grad(logits[0, 11].square().sum(), kept)
    first = 11 - 2 * (window - 1)  # two layers
    assert (gradient[0].abs().sum(-1) > 0).nonzero()[:, 0].tolist() == list(range(first, 12))


@pytest.mark.parametrize("choice", CHOICES, ids=",".join)
def test_logits_with_caches_equal_those_of_the_full_sequence(choice: list[str]) -> None:
    net = model(*choice)
    ids = tokens()
    caches = net.make_caches(2, 16)
    read = []
    with torch.no_grad():
        for start, end in ((0, 5), (5, 6), (6, 16)):
            positions = torch.arange(start, end).expand(2, -1)
            mask = torch.arange(end)[None, :] <= torch.arange(start, end)[:, None]
            read.append(net(ids[:, start:end], positions, caches, mask.expand(2, -1, -1)))
        torch.testing.assert_close(torch.cat(read, 1), net(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "choice", [*([f"model.pos={pos}"] for pos in options("model/pos")), *ATTENTIONS], ids=",".join
)
def test_padding_on_the_left_changes_no_logit(choice: list[str]) -> None:
    net, ids, pad = model(*choice), tokens(10, 1), 4
    padded = torch.cat([torch.zeros(1, pad, dtype=torch.int64), ids], 1)
    places = torch.arange(10 + pad)
    mask = (places[None, :] <= places[:, None]) & (places[None, :] >= pad)
    mask |= torch.eye(10 + pad, dtype=torch.bool)
    with torch.no_grad():
        logits = net(padded, (places - pad).clamp(min=0)[None], None, mask[None])
        torch.testing.assert_close(logits[:, pad:], net(ids), rtol=1e-4, atol=1e-4)


def test_the_reference_model_has_the_documented_size() -> None:
    net = build_model(resolve(compose(["model=small_17m"])))
    # Embedding and head 2 * 10,000 * 512, four layers of 4 * 512^2 + 3 * 512 * 1344 + 2 * 512, and
    # one norm before the head.
    assert net.num_parameters() == 22_696_448
    assert net.num_parameters() - 10_000 * 512 == 17_576_448
    matrices = 10_000 * 512 + 4 * (4 * 512**2 + 3 * 512 * 1344)
    assert net.forward_flops_per_token() == 2 * matrices + 4 * (4 * 256 * 512)


def test_tied_embeddings_save_parameters_but_no_flops() -> None:
    apart, tied = model(), model("model.tie_embeddings=true")
    assert apart.num_parameters() - tied.num_parameters() == 300 * 24
    assert apart.forward_flops_per_token() == tied.forward_flops_per_token()


def test_names_of_the_weights_are_stable() -> None:
    assert list(model("model.num_layers=1").state_dict()) == [
        "embedding.weight",
        "blocks.0.attention.norm.weight",
        "blocks.0.attention.sublayer.q.weight",
        "blocks.0.attention.sublayer.k.weight",
        "blocks.0.attention.sublayer.v.weight",
        "blocks.0.attention.sublayer.out.weight",
        "blocks.0.ffn.norm.weight",
        "blocks.0.ffn.sublayer.gate.weight",
        "blocks.0.ffn.sublayer.up.weight",
        "blocks.0.ffn.sublayer.down.weight",
        "final_norm.weight",
        "head.weight",
    ]


def test_grouped_query_attention_has_fewer_key_and_value_weights() -> None:
    weights = dict(model("model.attention.num_kv_heads=2").named_parameters())
    assert weights["blocks.0.attention.sublayer.k.weight"].shape == (12, 24)
    assert weights["blocks.0.attention.sublayer.q.weight"].shape == (24, 24)


@pytest.mark.parametrize("norm", ["rms", "post", "none"])
def test_dropout_drops_embeddings_and_what_sublayers_add_in_training_only(norm: str) -> None:
    net = model(f"model.norm={norm}", "model.dropout=0.3", "model.pos=learned")
    plain = model(f"model.norm={norm}", "model.pos=learned")
    assert list(net.state_dict()) == list(plain.state_dict())
    assert torch.equal(net(tokens()), plain(tokens()))

    def drop(x: torch.Tensor) -> torch.Tensor:
        return x * (torch.empty_like(x).bernoulli_(0.7) / 0.7)

    net.train()
    torch.manual_seed(5)
    logits = net(tokens())
    torch.manual_seed(5)
    x = drop(plain.pos.embed(plain.embedding(tokens()), None))
    for block in plain.blocks:
        for branch in block.attention, block.ffn:  # type: ignore[union-attr]
            before = branch.norm(x) if norm == "rms" else x  # type: ignore[operator]
            x = x + drop(branch.sublayer(before))  # type: ignore[operator]
            x = branch.norm(x) if norm == "post" else x  # type: ignore[operator]
    torch.testing.assert_close(logits, plain.head(plain.final_norm(x)))


def test_outputs_of_blocks_are_freed_where_no_gradient_needs_them() -> None:
    net = model("model.num_layers=4")
    outputs: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    for block in net.blocks:
        block.register_forward_hook(lambda part, given, output: outputs.append(weakref.ref(output)))
    net.final_norm.register_forward_pre_hook(
        lambda part, given: alive.append(sum(one() is not None for one in outputs))
    )
    with torch.no_grad():
        net(tokens())
    assert (len(outputs), alive) == (4, [1]), "the memory of an evaluation does not grow with depth"
