"""Text generation in batches, with a key/value cache."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from lmlab.config.rules import LARGEST_SEED
from lmlab.errors import Check, ConfigError, DataError, check_settings
from lmlab.nn.document_mask import document_numbers, same_document
from lmlab.nn.transformer import Transformer
from lmlab.runtime.random_streams import derive_seed
from lmlab.tokenizer import Tokenizer


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_id: int | Collection[int] | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """Continue all prompts in one batch.

    Each sequence has a random generator of its own and does not depend on the others, except for
    the last bits of sums that batches may order differently. When the context is full, generation
    continues with the last half of it, for which keys and values are computed again.

    Args:
        model: the network; used in eval mode, then returned to its previous mode.
        prompts: token ids, at least one per prompt.
        max_new_tokens: maximum length of each continuation.
        temperature: divides the logits; 0 selects the most likely token.
        top_k: sample from the k most likely tokens (Fan et al. 2018).
        top_p: nucleus sampling: sample from the smallest set of most likely tokens with at least
            this cumulative probability (Holtzman et al. 2020).
        seed: with the index of a sequence, the seed of its generator.
        stop_id: token that ends a sequence and is not part of it, or several such tokens.
        on_token: called with the index of the sequence and each new token.

    Returns:
        The new token ids of each sequence.

    Raises:
        ConfigError: a prompt is empty, or a setting is out of range.
        DataError: logits are not finite because the weights have diverged.
    """
    if any(not prompt for prompt in prompts):
        raise ConfigError(
            "prompt: expected at least one token", "start it with the end-of-text token"
        )
    _check(max_new_tokens, temperature, top_k, top_p, seed)
    if not prompts or max_new_tokens == 0:
        return [[] for _ in prompts]
    stop_ids = {stop_id} if isinstance(stop_id, int) else set(stop_id or ())
    was_training = model.training
    model.eval()
    try:
        return _generate(
            model, prompts, max_new_tokens, temperature, top_k, top_p, seed, stop_ids, on_token
        )
    finally:
        model.train(was_training)


def _check(
    max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None, seed: int
) -> None:
    check_settings(
        [
            Check("max_new_tokens", max_new_tokens, max_new_tokens >= 0, "0 or more"),
            Check("temperature", temperature, 0 <= temperature < math.inf, "0 (greedy) or more"),
            Check("top_k", top_k, top_k is None or top_k >= 1, "1 or more, or None"),
            Check(
                "top_p", top_p, top_p is None or 0 < top_p <= 1, "above 0 and at most 1, or None"
            ),
            Check("seed", seed, 0 <= seed <= LARGEST_SEED, f"an integer from 0 to {LARGEST_SEED}"),
        ]
    )


def _generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    stop_ids: set[int],
    on_token: Callable[[int, int], None] | None,
) -> list[list[int]]:
    device = model.device
    windows = [list(prompt)[-model.context_length :] for prompt in prompts]
    generated: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    seeds = [derive_seed("texts", seed, index) for index in active]
    generators = [torch.Generator().manual_seed(one) for one in seeds]
    decoder = _BatchDecoder(model, windows, device)
    logits_BV = decoder.prefill()
    while active:
        rows = []
        for row, index in enumerate(active):
            token = sample_token(logits_BV[row], temperature, top_k, top_p, generators[index])
            if token not in stop_ids:
                generated[index].append(token)
                windows[index].append(token)
                if on_token is not None:
                    on_token(index, token)
                if len(generated[index]) < max_new_tokens:
                    rows.append(row)
        active = [active[row] for row in rows]
        if active:
            logits_BV = decoder.decode(rows, [windows[index] for index in active])
    return generated


def sample_token(
    logits_V: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator,
) -> int:
    """Sample a token from logits on the CPU; see :func:`generate`.

    At temperature 0, the first of equally likely tokens is selected.
    """
    if not bool(logits_V.isfinite().all()):
        raise DataError(
            "the logits of the model are not finite: its weights have diverged",
            "train first with settings that do not diverge, such as a lower optim.lr",
        )
    if temperature == 0:
        return int(logits_V.argmax())
    # The maximum is 0 before the division, so that a low temperature does not overflow.
    scaled_V = (logits_V.double() - logits_V.max().double()) / temperature
    probs = filter_probabilities(torch.softmax(scaled_V, dim=-1), top_k, top_p)
    return int(torch.multinomial(probs, 1, generator=generator))


def filter_probabilities(probs_V: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Set all but the most likely tokens to 0, first by ``top_k``, then by ``top_p``.

    Of equally likely tokens, the one with the lower id comes first. The remaining probabilities are
    scaled to a sum of 1.
    """
    ordered, order = probs_V.sort(descending=True, stable=True)
    if top_k is not None:
        ordered[top_k:] = 0
        ordered = ordered / ordered.sum()
    if top_p is not None:
        before = ordered.cumsum(-1) - ordered
        ordered[before >= top_p] = 0
    kept = torch.zeros_like(probs_V).scatter(0, order, ordered)
    return kept / kept.sum()


class _BatchDecoder:
    """Runs the model on sequences of different lengths, aligned at their ends.

    Shorter sequences are padded on the left. The mask hides the padding, and positions count from
    the first token of each sequence. Where the model separates documents, a token sees the keys of
    its own document only, as in training.
    """

    def __init__(self, model: Transformer, windows: list[list[int]], device: torch.device) -> None:
        self.model = model
        self.windows = windows
        self.device = device
        self.caches: list[Any] = []
        self.pads_B = torch.empty(0)
        self.ids_BS = torch.empty(0, dtype=torch.long)  # the tokens of the caches

    def prefill(self) -> Tensor:
        """Compute keys and values of all windows; return the next logits (B, V) on the CPU."""
        longest = max(map(len, self.windows))
        pads = [longest - len(window) for window in self.windows]
        padded = [[0] * pad + window for pad, window in zip(pads, self.windows, strict=True)]
        self.pads_B = torch.tensor(pads, device=self.device)
        self.caches = self.model.make_caches(len(pads), self.model.context_length)
        self.ids_BS = self.pads_B.new_empty(len(pads), 0)
        return self._forward(torch.tensor(padded, device=self.device))

    def decode(self, rows: list[int], windows: list[list[int]]) -> Tensor:
        """Keep only ``rows``, whose windows have grown by one token; return their next logits."""
        self.windows = windows
        limit = self.model.context_length
        for window in windows:
            if len(window) > limit:
                del window[: -max(1, limit // 2)]
        shortened = max(map(len, windows)) <= self.caches[0].length
        if shortened or self.caches[0].length == limit:  # or padded up to the limit
            return self.prefill()
        if len(rows) < len(self.pads_B):
            kept = torch.tensor(rows, device=self.device)
            self.pads_B, self.ids_BS = self.pads_B[kept], self.ids_BS[kept]
            for cache in self.caches:
                cache.keep_rows(kept)
        return self._forward(torch.tensor([[w[-1]] for w in windows], device=self.device))

    def _forward(self, tokens_BT: Tensor) -> Tensor:
        start, count = self.caches[0].length, tokens_BT.shape[1]
        queries_T = torch.arange(start, start + count, device=self.device)
        keys_S = torch.arange(start + count, device=self.device)
        causal_TS = keys_S[None, :] <= queries_T[:, None]
        real_BS = keys_S[None, :] >= self.pads_B[:, None]
        # A padding query attends to itself, because a row of only -inf would become NaN.
        itself_TS = keys_S[None, :] == queries_T[:, None]
        visible_BTS = causal_TS[None] & real_BS[:, None]
        self.ids_BS = torch.cat([self.ids_BS, tokens_BT], dim=1)
        if self.model.documents is not None:
            numbers_BS = document_numbers(self.ids_BS, self.model.documents)
            visible_BTS = visible_BTS & same_document(numbers_BS[:, start:], numbers_BS)
        mask_BTS = visible_BTS | itself_TS[None]
        positions_BT = (queries_T[None] - self.pads_B[:, None]).clamp(min=0)
        logits = self.model(tokens_BT, positions_BT, self.caches, mask_BTS)
        last: Tensor = logits[:, -1].float().cpu()
        return last


class StreamDecoder:
    """Decodes tokens as they arrive, without splitting a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token: int) -> str:
        """Return the text that ``token`` completes."""
        return self._decoder.decode(self.tokenizer.token_bytes(token))

    def finish(self) -> str:
        """Return the rest: U+FFFD for an incomplete character."""
        return self._decoder.decode(b"", final=True)
