"""Disk space of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.accounting.memory import FLOAT32
from lmlab.accounting.model_counts import ModelCounts
from lmlab.optim.optimizer_counts import OptimizerCounts

ROW_BYTES = 250  # approximate, of a row of metrics.jsonl
OTHER_BYTES = 60_000  # approximate: configuration, provenance, log, samples, tokenizer


def checkpoint_bytes(model: ModelCounts, optimizer: OptimizerCounts) -> int:
    """Return the size of a checkpoint: weights, optimizer state, and weights to be evaluated."""
    return FLOAT32 * (model.parameters + optimizer.state + optimizer.evaluated)


def run_folder_bytes(
    config: Mapping[str, Any], model: ModelCounts, optimizer: OptimizerCounts
) -> tuple[int, int]:
    """Return the final size of a run folder and its peak size during the run.

    A new checkpoint is written completely before the one it replaces is deleted; the same holds for
    the best weights.

    Args:
        config: the full configuration as plain values.
        model: counts of the model.
        optimizer: counts of the optimizer.
    """
    training, checkpoint = config["training"], config["checkpoint"]
    steps, every = training["steps"], checkpoint["every_steps"]
    pinned = {step for step in checkpoint["keep_steps"] if step <= steps}
    saved = sorted({*range(every, steps, every), *pinned, steps})
    kept = pinned.union(saved[-checkpoint["keep_last"] :])
    state, weights = checkpoint_bytes(model, optimizer), FLOAT32 * model.parameters
    state += weights if training.get("ema") else 0
    rows = training["steps"] // training["log_every"]
    rows += training["steps"] // config["validation"]["every_steps"]
    if every_diagnosis := training.get("diagnose_every"):
        # Three norms for each layer and for what is outside of them; a row has about ten numbers.
        rows += steps // every_diagnosis * (config["model"]["num_layers"] + 4) * 3 // 10
    every = config["validation"]["every_steps"]
    # The best weights of the end, and at most those of each pinned step after an evaluation.
    best = 1 + len({step // every for step in pinned if every <= step} - {steps // every})
    final = len(kept) * state + best * weights + rows * ROW_BYTES + OTHER_BYTES
    return final, final + (state if len(saved) > len(kept) else weights)
