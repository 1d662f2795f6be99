"""Build what scores the model of a run on its tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from lmlab.build.run_data import RunData
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.fsdp import unsharded
from lmlab.nn.transformer import Transformer
from lmlab.runtime.device import Device
from lmlab.tasks.evaluation import evaluate_tasks
from lmlab.tasks.probe_scores import GROUP
from lmlab.training.trainer import TaskScores

log = logging.getLogger(__name__)

# Keeps the items of a task: its name, the step, and the items.
KeepItems = Callable[[str, int, Sequence[Mapping[str, Any]]], None]


def build_task_scores(
    data: RunData, device: Device, comm: Communicator, *, batch_size: int, keep_items: KeepItems
) -> TaskScores:
    """Build the function that scores the model on the tasks and probes of a run.

    All ranks call it, and share the forward passes.

    Args:
        data: tasks, probes and tokenizer.
        device: of the model.
        comm: the ranks.
        batch_size: sequences per forward pass.
        keep_items: receives the items of each task, before its scores are returned.
    """

    def score(model: nn.Module, step: int) -> Iterator[tuple[str, dict[str, float]]]:
        if not data.tasks and not data.probes.probes:
            return
        assert isinstance(model, Transformer)
        accuracies = []
        with unsharded(model):  # ranks may score different numbers of batches
            for name, result in evaluate_tasks(
                model,
                data.tokenizer,
                data.tasks,
                data.probes,
                batch_size=batch_size,
                use_bf16=device.policy.precision == "bf16",
                comm=comm,
            ):
                keep_items(name, step, result.items)
                if name.startswith(f"{GROUP}/"):
                    accuracy = result.scores["accuracy"]
                    accuracies.append(f"{name.removeprefix(f'{GROUP}/')} {accuracy:.3f}")
                else:
                    log.info("step %d: %s: %s", step, name, _describe(result.scores))
                yield name, dict(result.scores)
        if accuracies:
            log.info("step %d: accuracy on probes: %s", step, ", ".join(accuracies))

    return score


def _describe(scores: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in scores.items()
        if not name.startswith("num_")
    )
