"""The costs of GPT-2's shapes, compared with the figures of an earlier write-up."""

from __future__ import annotations

import dataclasses
from typing import Any

from lmlab.accounting.textbook import GIGABYTE, Textbook
from lmlab.accounting.units import parse_bytes
from lmlab.config.compose import compose
from lmlab.demos import Demo, Section, gpt2_costs

_EARLIER_BLOCK_TERMS, _EARLIER_BATCH = 19, 18


def accounting(
    *,
    config: Any,
    models: list[str],
    reference: str,
    contexts: list[int],
    memory: str,
    peak: str,
    mfu: float,
    steps: int,
    batch_size: int,
) -> Demo:
    """Count parameters, FLOPs and memory, and list where an earlier write-up differs.

    Args:
        config: unused.
        models: model configurations, from small to large.
        reference: a model that is trained in this repository.
        contexts: context lengths of the largest model.
        memory: memory of one device, with a unit.
        peak: peak of one device, in FLOP/s.
        mfu: model FLOPs utilization: the share of the peak that training reaches.
        steps: updates of the long run.
        batch_size: sequences per update of the long run.
    """
    demo = gpt2_costs.accounting(
        config=config, models=models, reference=reference, contexts=contexts, memory=memory,
        peak=peak, mfu=mfu, steps=steps, batch_size=batch_size,
    )  # fmt: skip
    earlier = compare(models[-1], parse_bytes("memory", memory))
    return dataclasses.replace(demo, sections=[*demo.sections, earlier])


def compare(name: str, memory: int) -> Section:
    """Tabulate the figures of the earlier write-up beside those of :class:`Textbook`.

    Args:
        name: a model configuration.
        memory: bytes of one device.
    """
    model = compose([f"model={name}"]).model
    paper = Textbook(
        model.vocab_size, model.context_length, model.num_layers, model.d_model, model.num_heads
    )
    old = dataclasses.replace(paper, block_terms=_EARLIER_BLOCK_TERMS)
    rows = [
        ["activations of size B T D per layer", str(old.block_terms), str(paper.block_terms),
         "the activations sum to 2 + 3 + 1 + 1 + 4 + 4 + 1"],
        [f"activations of one sequence of {name}", f"{old.bytes_per_sequence / GIGABYTE:.2f} GB",
         f"{paper.bytes_per_sequence / GIGABYTE:.2f} GB", "follows from the line above"],
        [f"sequences in {memory / GIGABYTE:g} GB", str(_EARLIER_BATCH),
         str(paper.largest_batch(memory)),
         f"({memory / GIGABYTE:g} - {paper.fixed_bytes / GIGABYTE:.2f}) / "
         f"{paper.bytes_per_sequence / GIGABYTE:.2f}; with 19 it would also be "
         f"{old.largest_batch(memory)}"],
    ]  # fmt: skip
    text = ["Figures of an earlier write-up that differ from these."]
    columns = ["figure", "earlier write-up", "this one", "reason"]
    return Section("An earlier write-up", text, columns, rows)
