"""A small model with random weights and its tokenizer, and their likelihoods by a slow loop."""

from __future__ import annotations

import functools

import torch

from lmlab.config.compose import compose
from lmlab.nn.transformer import Transformer
from lmlab.tokenizer import Tokenizer


def tokenizer_of_words() -> Tokenizer:
    """Bytes, a few merges across spaces, and the end of a text."""
    merges = [(b" ", b"t"), (b"h", b"e"), (b" t", b"he"), (b"o", b"n"), (b"c", b"e"), (b"d", b"o")]
    vocab = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    return Tokenizer(dict(enumerate(vocab)), merges, ["<|endoftext|>"])


@functools.cache
def small_model(context_length: int = 24, seed: int = 0) -> tuple[Transformer, Tokenizer]:
    """A model of two layers whose distributions are far from uniform."""
    from lmlab.build import factory
    from lmlab.build.run_spec import resolve

    tokenizer = tokenizer_of_words()
    config = compose(
        [
            f"model.vocab_size={tokenizer.vocab_size}", f"model.context_length={context_length}",
            "model.d_model=16", "model.num_layers=2", "model.num_heads=2", "model.d_ff=24",
            "model.init=normal", "model.init.std=0.5", f"seed={seed}",
        ]
    )  # fmt: skip
    return factory.build_model(resolve(config)).eval(), tokenizer


@torch.no_grad()
def token_by_token(
    model: Transformer, context: list[int], continuation: list[int]
) -> tuple[list[float], bool]:
    """Log-likelihood of each token of a continuation, from one forward pass per token.

    Returns:
        These, and whether each token is the most likely one.
    """
    found, is_greedy = [], True
    ids = list(context)
    for token in continuation:
        # The window of the last token of the continuation, as far as this token sees it.
        logits = model(torch.tensor([ids]))[0, -1].double()
        found.append(float(logits[token] - logits.exp().sum().log()))
        is_greedy &= int(logits.argmax()) == token
        ids.append(token)
    return found, is_greedy
