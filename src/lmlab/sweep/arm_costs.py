"""The cost of an arm, counted on a model that has shapes but no weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from lmlab.build.network import build_network
from lmlab.build.run_data import RunData
from lmlab.config.compose import from_dict
from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import count_steps
from lmlab.data.mixed_tokens import evaluated_parts
from lmlab.design.fairness import ArmCosts
from lmlab.nn.document_layout import Documents
from lmlab.storage.io import hash_json

_PROBE_WIDTH = 64  # added to d_ff to measure the parameters per unit of width


def count_arm_costs(
    config: RunConfig, data: RunData, baseline: RunConfig | None = None
) -> ArmCosts:
    """Count the cost of an arm.

    Args:
        config: configuration of the arm.
        data: its prepared texts.
        baseline: configuration to match; if given, the result holds the width at which the arm
            has as many parameters.
    """
    training, model = config.training, config.model
    parameters, flops, d_ff = _count(config, data.documents)
    parts = evaluated_parts(
        data.valid,
        context_length=model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    matching = None
    if baseline is not None and d_ff is not None:
        matching = _matching_width(config, d_ff, parameters, target=_count(baseline)[0])
    evaluation = sum(part.num_tokens for part in parts)
    return ArmCosts(
        parameters=parameters,
        flops=flops,
        tokens=training.steps * training.batch_size * model.context_length,
        steps=training.steps,
        batch_size=training.batch_size,
        context=model.context_length,
        evaluation=evaluation,
        evaluations=1 + math.ceil(training.steps / config.validation.every_steps),
        data=hash_json([data.corpus.train_hash, data.corpus.valid_hash]),
        tokenizer=data.tokenizer.hash,
        d_ff=d_ff,
        matching_d_ff=None if matching == d_ff else matching,
        validation=data.corpus.valid_hash,
        evaluates_all=all(part.is_whole for part in parts),
    )


def match_width(config: RunConfig, baseline: RunConfig, tolerance: float) -> dict[str, Any]:
    """Return an arm's plain configuration with ``d_ff`` set to match the baseline's parameters.

    The width stays if the parameters match within the relative ``tolerance``, or if no width
    matches.
    """
    content = copy.deepcopy(config.as_dict())
    parameters, _, d_ff = _count(config)
    target = _count(baseline)[0]
    if d_ff is not None and abs(parameters - target) > tolerance * target:
        matching = _matching_width(config, d_ff, parameters, target)
        if matching is not None:
            content["model"]["d_ff"] = matching
            count_steps(content)  # the FLOPs of an update have changed
    return content


def _count(config: RunConfig, documents: Documents | None = None) -> tuple[int, int, int | None]:
    """Return parameters, forward FLOPs per token, and ``d_ff`` if a layer reports it."""
    with torch.device("meta"):
        network = build_network(config.model, config.seeds.init)
    network.documents = documents
    return network.num_parameters(), network.forward_flops_per_token(), _find_d_ff(network)


def _find_d_ff(network: torch.nn.Module) -> int | None:
    for module in network.modules():
        width = getattr(module, "d_ff", None)
        if isinstance(width, int):
            return width
    return None


def _matching_width(config: RunConfig, d_ff: int, parameters: int, target: int) -> int | None:
    """Solve for the width; parameters are linear in it, so two counts suffice."""
    content: dict[str, Any] = copy.deepcopy(config.as_dict())
    content["model"]["d_ff"] = d_ff + _PROBE_WIDTH
    per_unit = (_count(from_dict(content))[0] - parameters) / _PROBE_WIDTH
    width = round(d_ff + (target - parameters) / per_unit)
    return width if width >= 1 else None
