"""Bytes that a run's folder takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.accounting.memory import FLOAT32
from lmlab.accounting.model_counts import ModelCounts
from lmlab.optim.counts import OptimizerCounts

ROW_BYTES = 250  # of metrics.jsonl, about
OTHER_BYTES = 60_000  # configuration, provenance, log, samples and tokenizer, about


def checkpoint_bytes(model: ModelCounts, optimizer: OptimizerCounts) -> int:
    """One checkpoint: weights and the optimizer's state."""
    return FLOAT32 * (model.parameters + optimizer.state)


def run_folder_bytes(
    config: Mapping[str, Any], model: ModelCounts, optimizer: OptimizerCounts
) -> tuple[int, int]:
    """What a run leaves, and the most that it takes while it saves.

    A checkpoint is written whole before the one that it replaces goes, and so are the best weights.

    Args:
        config: the whole configuration as plain values.
        model: its counts.
        optimizer: its counts.
    """
    training, saving = config["training"], config["checkpoint"]
    saves = max(1, -(-training["steps"] // saving["every_steps"]))
    pinned = sum(1 for step in saving["keep_steps"] if step <= training["steps"])
    kept = min(saves, saving["keep_last"] + pinned)
    state, weights = checkpoint_bytes(model, optimizer), FLOAT32 * model.parameters
    rows = training["steps"] // training["log_every"]
    rows += training["steps"] // config["validation"]["every_steps"]
    left = kept * state + weights + rows * ROW_BYTES + OTHER_BYTES
    return left, left + (state if saves > kept else weights)
