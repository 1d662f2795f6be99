"""Costs of models with GPT-2's shapes: parameters, FLOPs, memory and time, with formulas."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.accounting.cost_report import CostOptions, cost_report
from lmlab.accounting.tables import Table, comparison_table, report_tables
from lmlab.accounting.textbook import GIGABYTE
from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.config.compose import compose
from lmlab.console.formatting import format_duration
from lmlab.demos import Demo, Section
from lmlab.study.flop_breakdown import draw_flop_breakdown

Accounts = dict[str, dict[str, Any]]


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
    """Count the costs of models, of the largest at longer contexts, and of a reference model.

    Args:
        config: unused.
        models: model configurations, from small to large.
        reference: a model that is trained in this repository.
        contexts: context lengths of the largest model.
        memory: memory of one device, with a unit.
        peak: peak of one device, in FLOP/s.
        mfu: model FLOPs utilization: the fraction of the peak that training reaches.
        steps: updates of the long run.
        batch_size: sequences per update of the long run.
    """
    del config
    cost_options = CostOptions(memory=parse_bytes("memory", memory), peak=parse_flops("peak", peak),
                               mfu=mfu)  # fmt: skip
    largest = models[-1]
    run = [f"training.steps={steps}", f"training.batch_size={batch_size}"]
    sizes = {name: _count([f"model={name}"], cost_options) for name in models}
    long = {
        str(context): _count([f"model={largest}", f"model.context_length={context}"], cost_options)
        for context in contexts
    }
    shown = sizes | {f"{largest}, context {contexts[-1]:,}": long[str(contexts[-1])]}
    shown |= {reference: _count([f"model={reference}"], cost_options)}
    return Demo(
        title="accounting",
        question="What do models of GPT-2's shapes cost, and which parts cost most?",
        sections=[
            _overview(shown, sizes),
            *_parts(largest, sizes[largest]),
            _contexts(largest, long),
            _adamw(largest, sizes[largest], cost_options),
            _memory(largest, cost_options),
            _duration(largest, _count([f"model={largest}", *run], cost_options)),
        ],
        limits=[
            "Norms, activations and the softmax cost time, but few FLOPs, and are not counted.",
            "Memory is that of eager execution; torch.compile saves less. The preflight of a run "
            "on a GPU measures it.",
        ],
    )


def _count(overrides: Sequence[str], cost_options: CostOptions) -> dict[str, Any]:
    config = compose([*overrides, "runtime.policy=exact"])
    return cost_report(config.as_dict(), cost_options, "cuda")


def _section(table: Table, text: Sequence[str] = (), **more: Any) -> Section:
    return Section(table.heading, [*text, *table.notes], table.columns, table.rows, **more)


def _overview(shown: Mapping[str, Mapping[str, Any]], sizes: Accounts) -> Section:
    table = comparison_table(shown)
    indices = [i for i, name in enumerate(table.columns) if i < 8 and name != "other"]
    selected = dataclasses.replace(
        table,
        heading="Parameters and FLOPs",
        columns=[table.columns[index] for index in indices],
        rows=[[row[index] for index in indices] for row in table.rows],
    )
    text = [
        "A product of (m x n) by (n x p) is 2mnp FLOPs. With V the vocabulary, T the context, L "
        "layers, D the width and F the hidden width of the gated feed-forward: parameters "
        "2 V D + L (4 D^2 + 3 D F + 2 D) + D; forward FLOPs of a sequence "
        "L (8 T D^2 + 4 T^2 D + 6 T D F) + 2 T D V. The backward pass is twice the forward. As "
        "models grow, the share of the head falls and that of the feed-forward layers rises: the "
        "former grows with D, the latter with L D^2."
    ]
    return _section(selected, text, figure=("sizes", draw_flop_breakdown("model", sizes)))


def _parts(name: str, found: Mapping[str, Any]) -> list[Section]:
    parameters, flops = report_tables(found)[:2]
    return [
        _section(dataclasses.replace(parameters, heading=f"Parameters of {name}")),
        _section(dataclasses.replace(flops, heading=f"FLOPs of {name}")),
    ]


def _contexts(name: str, long: Accounts) -> Section:
    values = list(long)
    first, last = values[0], values[-1]
    growth = long[last]["flops"]["forward"] / long[first]["flops"]["forward"]
    rows = [
        [value, f"{report['flops']['forward']:,}",
         *(f"{report['flops']['shares'][group]:.1%}" for group in _GROUPS)]
        for value, report in long.items()
    ]  # fmt: skip
    text = [
        f"From context {int(first):,} to {int(last):,} the tokens of a sequence grow "
        f"{int(last) // int(first)}-fold and its FLOPs {growth:.1f}-fold: scores and mixing grow "
        "with the square of the context and overtake the feed-forward layers."
    ]
    columns = ["context", "forward FLOPs", *_GROUPS]
    return Section(f"Longer contexts for {name}", text, columns, rows,
                   figure=("contexts", draw_flop_breakdown("context", long)))  # fmt: skip


_GROUPS = ("attention", "feed-forward", "head")


def _adamw(name: str, found: Mapping[str, Any], cost_options: CostOptions) -> Section:
    paper = found["textbook"]
    assert cost_options.memory is not None
    lines = [*paper["expression"], f"P = {paper['parameters']:,}", paper["evaluated"]]
    text = [
        "Activations of each layer: two norms, queries, keys, values, scores, softmax, weighted "
        "values, output projection, first feed-forward matrix, SiLU, second matrix. Then final "
        "norm, logits and cross-entropy. All are float32; feed-forward layers have two matrices "
        "and F = 4D; embedding and head are untied.",
        f"{paper['largest_batch']} sequences fit into {cost_options.memory / GIGABYTE:g} GB.",
        "An update of AdamW takes about 14 FLOPs per parameter: "
        f"{14 * paper['parameters']:,}, negligible compared with the "
        f"{found['flops']['training']:,} FLOPs of one sequence.",
    ]
    return Section(f"AdamW's memory for {name}, on paper", text,
                   blocks=[("expression", "\n".join(lines))])  # fmt: skip


def _memory(name: str, cost_options: CostOptions) -> Section:
    """Count what a run saves for the backward pass, by precision and kernels."""
    policies: dict[str, tuple[str, dict[str, Any]]] = {
        "plain attention, float32": ("exact", {"fused_attention": False}),
        "fused attention, float32": ("exact", {}),
        "... and the loss in chunks": ("fast", {}),
        "... and in bf16": ("bf16", {}),
        "... and blocks recomputed": ("bf16", {"checkpointing": True}),
    }
    rows = []
    for name_of_policy, (policy, changes) in policies.items():
        overrides = [f"model={name}", "training.batch_size=1", "validation.batch_size=1",
                     f"runtime.policy={policy}"]  # fmt: skip
        options = dataclasses.replace(cost_options, **changes)
        memory = cost_report(compose(overrides).as_dict(), options, "cuda")["memory"]
        fixed = memory["parameters"] + memory["gradients"] + memory["optimizer"]
        rows.append(
            [name_of_policy, f"{fixed / GIGABYTE:.2f}", f"{memory['activations'] / GIGABYTE:.2f}",
             f"{memory['loss'] / GIGABYTE:.2f}", str(memory["largest_batch"])]
        )  # fmt: skip
    text = [
        f"What autograd saves for one sequence of {name} with its gated feed-forward layer (three "
        "matrices, so more parameters than on paper), by precision and kernels. Weights include "
        "bf16 copies of the matrices, if any."
    ]
    columns = ["", "weights, gradients, moments, GB", "activations of one sequence, GB",
               "logits and their gradients, GB", "largest batch"]  # fmt: skip
    return Section("Memory of a run", text, columns, rows)


def _duration(name: str, found: Mapping[str, Any]) -> Section:
    time = found["time"]
    text = [
        f"{time['steps']:,} updates of {time['batch_size']:,} sequences on one device of "
        f"{time['peak'] / 1e12:g} TFLOP/s at {time['mfu']:.0%}: {time['step_flops']:.4g} FLOPs per "
        f"update (3 x {found['flops']['forward']:,} x {time['batch_size']:,}), "
        f"{time['step_seconds']:,.0f} s per update, "
        f"{format_duration(time['run_seconds'])} in total."
    ]
    return Section(f"Training time of {name}", text)
