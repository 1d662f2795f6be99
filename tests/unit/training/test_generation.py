from __future__ import annotations

import functools
import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.nn.document_layout import Documents
from lmlab.nn.transformer import Transformer
from lmlab.tokenizer import Tokenizer
from lmlab.training.generation import StreamDecoder, filter_probabilities, generate, sample_token

CONTEXT, VOCABULARY = 12, 300


@functools.cache
def model(pos: str = "rope") -> Transformer:
    return build_model(resolve(compose(
            [
                f"model.pos={pos}", f"model.vocab_size={VOCABULARY}", "model.num_layers=2",
                f"model.context_length={CONTEXT}", "model.d_model=32", "model.num_heads=4",
            ]
        )))  # fmt: skip


def generate_slowly(
    net: Transformer, prompt: list[int], count: int, temperature: float, seed: int, index: int
) -> list[int]:
    """One sequence without a cache; a full context is cut to its last half."""
    window, generated = prompt[-CONTEXT:], []
    digest = hashlib.sha256(f"texts:{seed}:{index}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") // 2)
    for _ in range(count):
        with torch.no_grad():
            logits = net(torch.tensor([window]))[0, -1]
        if temperature == 0:
            token = int(logits.argmax())
        else:
            probs = torch.softmax(logits.double() / temperature, 0)
            token = int(torch.multinomial(probs, 1, generator=generator))
        generated.append(token)
        window = [*window, token]
        if len(window) > CONTEXT:
            window = window[-CONTEXT // 2 :]
    return generated


PROMPTS = [[5], [7, 8, 9, 10, 11], list(range(20, 32)), list(range(100, 130)), [5, 6]]


@pytest.mark.parametrize(
    ("option", "is_before"),
    [("causal", False), ("causal", True), ("gated", False), ("mla", True), ("window", False),
     ("alibi", True)],
)  # fmt: skip
def test_documents_are_separated_with_a_cache_as_without(option: str, is_before: bool) -> None:
    settings = {
        "window": ["model.attention.window=3", "model.attention.num_kv_heads=2"],
        "alibi": ["model.pos=alibi"],
    }
    net = build_model(resolve(compose(
            [
                f"model.vocab_size={VOCABULARY}", "model.num_layers=2", "model.d_model=32",
                f"model.context_length={CONTEXT}", "model.num_heads=4",
                *settings.get(option, [f"model.attention={option}"]),
            ]
        )))  # fmt: skip
    with torch.no_grad():  # initial weights are too small for the mask to change a choice
        for weight in net.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)
    end = 9
    prompts = [[5, end, 3, 4], [end], [7, 8, 2, end], [1, end, end, 5, 6, 3], list(range(20, 32))]
    crossing = generate(net, prompts, max_new_tokens=30, temperature=0.0)
    net.documents = Documents(end, is_before)
    generated = generate(net, prompts, max_new_tokens=30, temperature=0.0)
    assert generated != crossing
    for index, prompt in enumerate(prompts):
        assert generated[index] == generate_slowly(net, prompt, 30, 0.0, 0, index)
    # The first document of a window does not matter to the second.
    other = generate(net, [[8, end, 3, 4]], max_new_tokens=5, temperature=0.0)
    assert other[0] == generated[0][:5]


@pytest.mark.parametrize("pos", ["rope", "nope", "learned"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_batch_with_a_cache_equals_single_sequences_without(pos: str, temperature: float) -> None:
    generated = generate(model(pos), PROMPTS, max_new_tokens=30, temperature=temperature, seed=3)
    for index, prompt in enumerate(PROMPTS):
        assert generated[index] == generate_slowly(model(pos), prompt, 30, temperature, 3, index)


def test_no_text_of_a_seed_is_a_text_of_another() -> None:
    found = [
        tuple(ids)
        for seed in (0, 1, 2, 3)
        for ids in generate(model(), [[5]] * 6, max_new_tokens=30, seed=seed)
    ]
    assert len(set(found)) == len(found) == 24


def test_any_of_several_tokens_ends_a_text() -> None:
    (free,) = generate(model(), [[5]], max_new_tokens=30, seed=1)
    for stop in (free[4], [free[4], free[9]], {free[9], free[4]}):
        (found,) = generate(model(), [[5]], max_new_tokens=30, seed=1, stop_id=stop)
        assert found == free[: free.index(free[4])]


def test_a_sequence_does_not_depend_on_its_neighbours() -> None:
    together = generate(model(), PROMPTS, max_new_tokens=25, temperature=1.0, seed=0)
    alone = generate(model(), PROMPTS[:1], max_new_tokens=25, temperature=1.0, seed=0)
    assert together[0] == alone[0]


def test_the_seed_determines_the_text() -> None:
    texts = [generate(model(), [[5]], max_new_tokens=10, seed=seed)[0] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_a_sequence_ends_at_the_stop_token_and_the_others_continue() -> None:
    free = generate(model(), PROMPTS, max_new_tokens=20, temperature=1.0, seed=0)
    stop = free[1][4]
    seen: list[tuple[int, int]] = []
    stopped = generate(
        model(), PROMPTS, max_new_tokens=20, temperature=1.0, seed=0, stop_id=stop,
        on_token=lambda index, token: seen.append((index, token)),
    )  # fmt: skip
    for full, cut in zip(free, stopped, strict=True):
        assert cut == (full[: full.index(stop)] if stop in full else full)
    for index, cut in enumerate(stopped):
        assert [token for row, token in seen if row == index] == cut


def test_an_empty_prompt_is_refused_and_the_mode_is_restored() -> None:
    with pytest.raises(ConfigError, match="at least one token"):
        generate(model(), [[1], []], max_new_tokens=1)
    model().train()
    generate(model(), [[1]], max_new_tokens=1)
    assert model().training


@pytest.mark.parametrize("seed", [10**23, 2**63, -1])
def test_a_seed_out_of_torchs_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=f"seed={seed}: expected an integer from 0 to"):
        generate(model(), [[1]], max_new_tokens=1, seed=seed)
    generate(model(), [[1], [2]], max_new_tokens=1, seed=2**63 - 1)


PROBS = torch.tensor([0.1, 0.4, 0.15, 0.05, 0.3], dtype=torch.float64)


@pytest.mark.parametrize(
    ("top_k", "top_p", "expected"),
    [
        (None, None, [0.1, 0.4, 0.15, 0.05, 0.3]),
        (1, None, [0, 1, 0, 0, 0]),
        (2, None, [0, 4 / 7, 0, 0, 3 / 7]),
        (99, None, [0.1, 0.4, 0.15, 0.05, 0.3]),
        (None, 0.3, [0, 1, 0, 0, 0]),
        (None, 0.69, [0, 4 / 7, 0, 0, 3 / 7]),
        (None, 0.71, [0, 40 / 85, 15 / 85, 0, 30 / 85]),
        (None, 1.0, [0.1, 0.4, 0.15, 0.05, 0.3]),
        (None, 1e-9, [0, 1, 0, 0, 0]),
        # of the three most likely, 0.4 / 0.85 = 0.47 and 0.3 / 0.85 = 0.35 exceed 0.8 together
        (3, 0.8, [0, 4 / 7, 0, 0, 3 / 7]),
    ],
)
def test_filters_worked_by_hand(
    top_k: int | None, top_p: float | None, expected: list[float]
) -> None:
    kept = filter_probabilities(PROBS.clone(), top_k, top_p)
    torch.testing.assert_close(kept, torch.tensor(expected, dtype=torch.float64))


def test_of_equally_likely_tokens_the_lower_id_comes_first() -> None:
    kept = filter_probabilities(torch.full((6,), 1 / 6, dtype=torch.float64), 2, None)
    assert kept.tolist() == [0.5, 0.5, 0, 0, 0, 0]


def test_a_low_temperature_sharpens_the_distribution() -> None:
    logits = torch.log(PROBS)
    generator = torch.Generator().manual_seed(0)
    drawn = [sample_token(logits, 0.5, None, None, generator) for _ in range(4000)]
    squares = PROBS.square() / PROBS.square().sum()
    shares = torch.bincount(torch.tensor(drawn), minlength=5) / 4000
    torch.testing.assert_close(shares.double(), squares, atol=0.03, rtol=0)
    assert sample_token(logits, 0.0, None, None, generator) == 1


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_streamed_pieces_are_the_text_and_split_no_character(text: str) -> None:
    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [])
    ids = tokenizer.encode(text)
    stream = StreamDecoder(tokenizer)
    pieces = [stream.add(token) for token in ids]
    assert "".join(pieces) + stream.finish() == text
    for cut in range(len(ids)):
        part = StreamDecoder(tokenizer)
        shown = "".join(part.add(token) for token in ids[:cut])
        assert text.startswith(shown), "no part of a character is shown"
        assert shown + part.finish() == tokenizer.decode(ids[:cut])
