"""What an arm costs and sees, counted on a model that has shapes and no weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from lmlab.build.network import build_network
from lmlab.build.run_data import RunData, check_source, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.data.batches import validation_windows
from lmlab.design.fairness import ArmCosts
from lmlab.storage.io import hash_json


class TextsByConfig:
    """The prepared texts of configurations; those that mean the same are prepared once."""

    def __init__(self) -> None:
        self._known: dict[str, RunData] = {}

    def of(self, config: RunConfig) -> RunData:
        """Corpus, tokenizer and token files. Raises :class:`DataError` or :class:`ConfigError`."""
        key = hash_json(
            {
                "data": config.data.as_dict(),
                "tokenizer": config.tokenizer.as_dict(),
                "output_root": config.output_root,
                "sizes": [config.model.vocab_size, config.model.context_length],
            }
        )
        if key not in self._known:
            spec = resolve(config).data
            check_source(spec)
            self._known[key] = prepare_data(spec)
        return self._known[key]


def facts_of(config: RunConfig, texts: RunData, reference: RunConfig | None = None) -> ArmCosts:
    """Count an arm.

    Args:
        config: of the arm.
        texts: its texts.
        reference: the baseline; with it, the width at which the parameters would match.
    """
    training, model = config.training, config.model
    parameters, flops, d_ff = _count(config)
    windows = validation_windows(
        texts.valid.tokens,
        context_length=model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    matching = None
    if reference is not None and d_ff is not None:
        target = _count(reference)[0]
        matching = _matching_width(config, d_ff, parameters, target)
    return ArmCosts(
        parameters=parameters,
        flops=flops,
        tokens=training.steps * training.batch_size * model.context_length,
        steps=training.steps,
        batch_size=training.batch_size,
        context=model.context_length,
        evaluation=sum(length - 1 for _, length in windows),
        evaluations=1 + math.ceil(training.steps / config.validation.every_steps),
        data=hash_json([texts.corpus.train_hash, texts.corpus.valid_hash]),
        tokenizer=texts.tokenizer.hash,
        d_ff=d_ff,
        matching_d_ff=None if matching == d_ff else matching,
    )


def match_width(config: RunConfig, reference: RunConfig, tolerance: float) -> dict[str, Any]:
    """An arm's plain configuration, with the width that matches the reference's parameters.

    It is left alone where they match within the relative ``tolerance``, or no width matches.
    """
    content = copy.deepcopy(config.as_dict())
    parameters, _, d_ff = _count(config)
    target = _count(reference)[0]
    if d_ff is not None and abs(parameters - target) > tolerance * target:
        matching = _matching_width(config, d_ff, parameters, target)
        content["model"]["d_ff"] = matching if matching is not None else content["model"]["d_ff"]
    return content


def _count(config: RunConfig) -> tuple[int, int, int | None]:
    """Parameters, forward FLOPs a token, and the feed-forward width where the layer tells it."""
    with torch.device("meta"):
        network = build_network(config.model)
    return network.num_parameters(), network.forward_flops_per_token(), _width(network)


def _width(network: torch.nn.Module) -> int | None:
    for part in network.modules():
        width = getattr(part, "d_ff", None)
        if isinstance(width, int):
            return width
    return None


def _matching_width(config: RunConfig, d_ff: int, parameters: int, target: int) -> int | None:
    """Parameters grow linearly with the width, so two counts tell the width that matches."""
    content: dict[str, Any] = copy.deepcopy(config.as_dict())
    content["model"]["d_ff"] = d_ff + 64
    a_unit = (_count(from_dict(content))[0] - parameters) / 64
    width = round(d_ff + (target - parameters) / a_unit)
    return width if width >= 1 else None
