"""A model of lmlab as lm-evaluation-harness knows models; needs ``pip install 'lmlab[lm-eval]'``.

In Python, give it to the harness in place of a name::

    from lm_eval import simple_evaluate
    from lmlab.harness.model import HarnessModel

    model = HarnessModel(*lmlab.load("outputs/runs/default/seed0"))
    simple_evaluate(model, tasks=["blimp"])

To import this module registers the model ``lmlab`` as well, whose argument is ``run=FOLDER``. The
harness splits text into context and continuation itself; likelihoods come from
:class:`lmlab.tasks.scorer.Scorer`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lmlab.errors import ConfigError
from lmlab.nn.transformer import Transformer
from lmlab.runs.load import load
from lmlab.tasks.requests import Request, rolling_requests
from lmlab.tasks.scorer import Score, Scorer
from lmlab.tokenizer import Tokenizer
from lmlab.training.callbacks import evaluating
from lmlab.training.generation import generate

if importlib.util.find_spec("lm_eval") is None:
    raise ConfigError(
        "lm-evaluation-harness is not installed", "install it: pip install 'lmlab[lm-eval]'"
    )

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model

_MAX_NEW_TOKENS = 256  # where a task sets no limit, as the harness has for its own models


class HarnessModel(TemplateLM):
    """Answers the requests of the harness.

    Args:
        model: the network.
        tokenizer: of the model.
        batch_size: sequences per forward pass.
        seed: of tasks that sample texts.
    """

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, *, batch_size: int = 32, seed: int = 0
    ) -> None:
        super().__init__()
        self.model = model
        self.lmlab_tokenizer = tokenizer  # `tokenizer` is one of transformers in the harness
        self.batch_size = batch_size
        self.seed = seed
        self._device = model.device

    @property
    def eot_token_id(self) -> int:
        """Id of the token that ends a text, or starts one where none ends it."""
        end = self.lmlab_tokenizer.end_of_text_id
        return self.lmlab_tokenizer.start_id if end is None else end

    @property
    def prefix_token_id(self) -> int:
        """Id of the token before a text without a context."""
        return self.lmlab_tokenizer.start_id

    @property
    def max_length(self) -> int:
        """Most tokens that the model reads."""
        return self.model.context_length

    @property
    def max_gen_toks(self) -> int:
        """Most tokens of a text whose task sets no limit."""
        return _MAX_NEW_TOKENS

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in the harness's cache of requests."""
        return f"lmlab-{self.lmlab_tokenizer.hash[:16]}"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Return the ids of a text; lmlab adds no special tokens to it."""
        return self.lmlab_tokenizer.encode(string)

    def tok_decode(self, tokens: Iterable[int], **kwargs: Any) -> str:
        """Return the text of ids."""
        return self.lmlab_tokenizer.decode(tokens)

    def get_model_info(self) -> dict[str, Any]:
        """Return what the harness records about the model."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(next(self.model.parameters()).dtype),
        }

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation, and whether it is the most likely one."""
        scores = self._score(
            [
                Request(np.array(before, dtype=np.int64), np.array(after, dtype=np.int64))
                for _, before, after in requests
            ]
        )
        answers = [(one.log_likelihood, one.is_greedy) for one in scores]
        for (texts, *_), answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, answer)
        return answers

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the log-likelihood of each text, of which each token is predicted once."""
        texts = [request.args[0] for request in requests]
        windows = [
            list(
                rolling_requests(
                    self.lmlab_tokenizer,
                    np.array(self.tok_encode(text), dtype=np.int64),
                    self.max_length,
                )
            )
            for text in texts
        ]
        scores = iter(self._score([window for one in windows for window in one]))
        totals = [sum(next(scores).log_likelihood for _ in one) for one in windows]
        for text, total in zip(texts, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return a continuation of each context, up to the first of its stop texts.

        When the context is full, generation continues with the last half of it.
        """
        texts: list[str] = []
        for start in range(0, len(requests), self.batch_size):
            batch = [request.args for request in requests[start : start + self.batch_size]]
            groups: dict[str, list[int]] = {}
            for index, (_, settings) in enumerate(batch):
                groups.setdefault(repr(sorted(settings.items())), []).append(index)
            found = [""] * len(batch)
            for indices in groups.values():
                contexts = [batch[index][0] for index in indices]
                continued = self._continue(contexts, batch[indices[0]][1], self.seed + start)
                for index, text in zip(indices, continued, strict=True):
                    found[index] = text
            for args, text in zip(batch, found, strict=True):
                self.cache_hook.add_partial("generate_until", args, text)
            texts += found
        return texts

    def _continue(
        self, contexts: Sequence[str], settings: Mapping[str, Any], seed: int
    ) -> list[str]:
        until = settings.get("until") or []
        limits = ("max_gen_toks", "max_new_tokens", "max_tokens")
        most = next((settings[key] for key in limits if key in settings), self.max_gen_toks)
        is_sampled = settings.get("do_sample", settings.get("temperature", 0.0) > 0)
        continued = generate(
            self.model,
            [self.tok_encode(context) or [self.prefix_token_id] for context in contexts],
            max_new_tokens=int(most),
            temperature=float(settings.get("temperature", 1.0)) if is_sampled else 0.0,
            top_k=settings.get("top_k") or None,
            top_p=settings.get("top_p"),
            seed=seed,
            stop_id=self.lmlab_tokenizer.markers.ends or self.eot_token_id,
        )
        stops = [until] if isinstance(until, str) else list(until)
        return [_up_to(self.tok_decode(ids), stops) for ids in continued]

    def _score(self, requests: Sequence[Request]) -> list[Score]:
        with evaluating(self.model), torch.no_grad():
            return Scorer(self.model, self.lmlab_tokenizer, batch_size=self.batch_size).score(
                requests
            )


@register_model("lmlab")
class RunModel(HarnessModel):
    """A run, or a local Hugging Face model folder, that the harness loads by its arguments.

    Args:
        run: the folder.
        checkpoint: ``best`` or ``last``.
        batch_size: sequences per forward pass; ``auto`` for 32.
        device: see :func:`lmlab.load`.
        seed: of tasks that sample texts.
        max_batch_size: ignored; the harness passes it to all models.
    """

    def __init__(
        self,
        run: str,
        *,
        checkpoint: str = "best",
        batch_size: int | str = 32,
        device: str | None = None,
        seed: int = 0,
        max_batch_size: int | None = None,
    ) -> None:
        model, tokenizer = load(run, checkpoint=checkpoint, device=device or "auto")
        size = 32 if str(batch_size).startswith("auto") else int(batch_size)
        super().__init__(model, tokenizer, batch_size=size, seed=int(seed))


def _up_to(text: str, stops: Iterable[str]) -> str:
    ends = [text.find(stop) for stop in stops if stop and stop in text]
    return text[: min(ends)] if ends else text
