"""Text generation: batched, with cached keys and values."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lmlab.config.rules import LARGEST_SEED
from lmlab.errors import ConfigError, DataError
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.transformer import Transformer
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
    stop_id: int | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """Go on from each prompt, all at once.

    Each sequence draws from its own generator and sees nothing of the others, so that it is what
    it would be alone (up to the last bits of sums, which batches may order differently). When the
    context is full, the last half of it is kept and read anew.

    Args:
        model: evaluated in eval mode; its training mode is restored.
        prompts: ids, at least one each.
        max_new_tokens: length of each continuation, if it does not stop before.
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: draw from the k likeliest tokens (Fan et al. 2018).
        top_p: draw from the smallest set of likeliest tokens that holds this probability
            (Holtzman et al. 2020).
        seed: of the draws.
        stop_id: ends a sequence, and is not part of it.
        on_token: called with the sequence's index and each new token.

    Returns:
        The new ids of each sequence.

    Raises:
        ConfigError: a prompt is empty, or a setting is out of its range.
        DataError: the model's output is not a number, since its weights have diverged.
    """
    if any(not prompt for prompt in prompts):
        raise ConfigError("prompt: accepted is at least one token; begin with <|endoftext|>")
    _check(max_new_tokens, temperature, top_k, top_p, seed)
    if not prompts or max_new_tokens == 0:
        return [[] for _ in prompts]
    was_training = model.training
    model.eval()
    try:
        return _write(
            model, prompts, max_new_tokens, temperature, top_k, top_p, seed, stop_id, on_token
        )
    finally:
        model.train(was_training)


def _check(
    max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None, seed: int
) -> None:
    for name, value, fine, accepted in (
        ("max_new_tokens", max_new_tokens, max_new_tokens >= 0, "0 or more"),
        ("temperature", temperature, 0 <= temperature < math.inf, "0 (greedy) or more"),
        ("top_k", top_k, top_k is None or top_k >= 1, "1 or more, or None"),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1, "above 0, at most 1, or None"),
        ("seed", seed, 0 <= seed <= LARGEST_SEED, f"a whole number from 0 to {LARGEST_SEED}"),
    ):
        if not fine:
            raise ConfigError(f"{name}={value}: accepted is {accepted}")


def _write(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int,
    stop_id: int | None,
    on_token: Callable[[int, int], None] | None,
) -> list[list[int]]:
    device = model.embedding.weight.device
    windows = [list(prompt)[-model.context_length :] for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]
    open_ones = list(range(len(prompts)))
    chances = [torch.Generator().manual_seed(seed + index) for index in open_ones]
    reader = _Reader(model, windows, device)
    logits_BV = reader.read_all()
    while open_ones:
        still_open = []
        for row, index in enumerate(open_ones):
            token = sample_token(logits_BV[row], temperature, top_k, top_p, chances[index])
            if token != stop_id:
                written[index].append(token)
                windows[index].append(token)
                if on_token is not None:
                    on_token(index, token)
                if len(written[index]) < max_new_tokens:
                    still_open.append(row)
        rows, open_ones = still_open, [open_ones[row] for row in still_open]
        if open_ones:
            logits_BV = reader.go_on(rows, [windows[index] for index in open_ones])
    return written


def sample_token(
    logits_V: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    chance: torch.Generator,
) -> int:
    """Draw a token from logits on the CPU; see :func:`generate`. Of equals 0 takes the first."""
    if not bool(logits_V.isfinite().all()):
        raise DataError("the model's output is not a number: its weights have diverged")
    if temperature == 0:
        return int(logits_V.argmax())
    # The largest is 0 before the division, so that the coldest temperature overflows nothing.
    scaled_V = (logits_V.double() - logits_V.max().double()) / temperature
    probs = filter_probabilities(torch.softmax(scaled_V, dim=-1), top_k, top_p)
    return int(torch.multinomial(probs, 1, generator=chance))


def filter_probabilities(probs_V: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Set all but the likeliest tokens to 0: the ``top_k`` first, then those beyond ``top_p``.

    Of equally likely tokens the one with the lower id comes first. The rest is scaled to sum to 1.
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


class _Reader:
    """Feeds tokens to the model; sequences of different lengths end at the same place.

    Shorter ones are padded on the left; the mask hides the padding, and positions count from each
    sequence's own first token.
    """

    def __init__(self, model: Transformer, windows: list[list[int]], device: torch.device) -> None:
        self.model = model
        self.windows = windows
        self.device = device
        self.caches: list[KVCache] = []
        self.pads_B = torch.empty(0)

    def read_all(self) -> Tensor:
        """Read all windows from their beginnings; return the next logits (B, V) on the CPU."""
        longest = max(map(len, self.windows))
        pads = [longest - len(window) for window in self.windows]
        padded = [[0] * pad + window for pad, window in zip(pads, self.windows, strict=True)]
        self.pads_B = torch.tensor(pads, device=self.device)
        self.caches = self.model.make_caches(len(pads), self.model.context_length)
        return self._forward(torch.tensor(padded, device=self.device))

    def go_on(self, rows: list[int], windows: list[list[int]]) -> Tensor:
        """Keep only ``rows``, whose windows have grown by one token; return their next logits."""
        self.windows = windows
        limit = self.model.context_length
        for window in windows:
            if len(window) > limit:
                del window[: -max(1, limit // 2)]
        shortened = max(map(len, windows)) <= self.caches[0].length
        if shortened or self.caches[0].length == limit:  # or padded up to the limit
            return self.read_all()
        if len(rows) < len(self.pads_B):
            kept = torch.tensor(rows, device=self.device)
            self.pads_B = self.pads_B[kept]
            for cache in self.caches:
                cache.keep_rows(kept)
        return self._forward(torch.tensor([[w[-1]] for w in windows], device=self.device))

    def _forward(self, tokens_BT: Tensor) -> Tensor:
        start, count = self.caches[0].length, tokens_BT.shape[1]
        places_T = torch.arange(start, start + count, device=self.device)
        keys_S = torch.arange(start + count, device=self.device)
        causal_TS = keys_S[None, :] <= places_T[:, None]
        real_BS = keys_S[None, :] >= self.pads_B[:, None]
        # A padded query may see itself, since a row of nothing but -inf would become NaN.
        itself_TS = keys_S[None, :] == places_T[:, None]
        mask_BTS = (causal_TS[None] & real_BS[:, None]) | itself_TS[None]
        positions_BT = (places_T[None] - self.pads_B[:, None]).clamp(min=0)
        logits = self.model(tokens_BT, positions_BT, self.caches, mask_BTS)
        last: Tensor = logits[:, -1].float().cpu()
        return last


class StreamDecoder:
    """Turns tokens into text as they come, never cutting a character in two."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token: int) -> str:
        """Return the text that is complete with ``token``."""
        return self._decoder.decode(self.tokenizer.token_bytes(token))

    def finish(self) -> str:
        """Return what is left: U+FFFD for an unfinished character."""
        return self._decoder.decode(b"", final=True)
