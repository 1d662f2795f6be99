"""Evaluate a list of tasks, and probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.nn.transformer import Transformer
from lmlab.tasks.probes import NO_PROBES, Probes
from lmlab.tasks.scorer import Scorer
from lmlab.tasks.task import Task, TaskResult
from lmlab.tokenizer import Tokenizer
from lmlab.training.callbacks import evaluating
from lmlab.training.mixed_precision import Bf16Weights


def evaluate_tasks(
    model: Transformer,
    tokenizer: Tokenizer,
    tasks: Sequence[Task],
    probes: Probes = NO_PROBES,
    *,
    batch_size: int = 32,
    use_bf16: bool = False,
    comm: Communicator = SINGLE_PROCESS,
) -> Iterator[tuple[str, TaskResult]]:
    """Yield the name and the result of each task, in order, then of each probe.

    Args:
        model: with all weights; the training mode of its modules is restored afterwards.
        tokenizer: that for which the tasks were loaded.
        tasks: see :class:`lmlab.tasks.task.Task`.
        probes: see :class:`lmlab.tasks.probes.Probes`.
        batch_size: sequences per forward pass.
        use_bf16: compute in the bf16 policy; see :mod:`lmlab.training.mixed_precision`.
        comm: the ranks that share the forward passes; each gets all results.
    """
    if not tasks and not probes.probes:
        return
    with evaluating(model), torch.no_grad():
        network = Bf16Weights(model).model if use_bf16 else model
        scorer = Scorer(model, tokenizer, batch_size=batch_size, network=network, comm=comm)
        for task in tasks:
            yield task.name, task.evaluate(scorer)
        yield from probes.evaluate(scorer)
