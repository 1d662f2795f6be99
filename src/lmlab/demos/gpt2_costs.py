"""What models of GPT-2's shapes cost: parameters, FLOPs, memory and time, each with its formula."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lmlab.accounting.cost_report import CostOptions, cost_report
from lmlab.accounting.tables import Table, comparison_table, report_tables
from lmlab.accounting.textbook import GIGABYTE
from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.config.compose import compose
from lmlab.console.formatting import format_duration
from lmlab.demos import Demo, Section
from lmlab.study.figure_style import BLUE, GREEN, ORANGE, add_grid, new_figure
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
    """Count the models, the largest at longer contexts, and the reference model.

    Args:
        config: the run's; nothing of it is used.
        models: from small to large.
        reference: a model that is really trained here.
        contexts: of the largest model.
        memory: of one device, with a unit.
        peak: of one device in FLOP/s.
        mfu: share of the peak that is reached.
        steps: updates of the long run.
        batch_size: its sequences an update.
    """
    del config
    question = CostOptions(memory=parse_bytes("memory", memory), peak=parse_flops("peak", peak),
                        mfu=mfu)  # fmt: skip
    largest = models[-1]
    run = [f"training.steps={steps}", f"training.batch_size={batch_size}"]
    sizes = {name: _count([f"model={name}"], question) for name in models}
    long = {
        str(context): _count([f"model={largest}", f"model.context_length={context}"], question)
        for context in contexts
    }
    shown = sizes | {f"{largest}, context {contexts[-1]:,}": long[str(contexts[-1])]}
    shown |= {reference: _count([f"model={reference}"], question)}
    return Demo(
        title="accounting",
        question="What do models of GPT-2's shapes cost, and where does it go?",
        sections=[
            _overview(shown, sizes),
            *_parts(largest, sizes[largest]),
            _contexts(largest, long),
            _adamw(largest, sizes[largest], question),
            _kept(largest, question),
            _duration(largest, _count([f"model={largest}", *run], question)),
        ],
        limits=[
            "Norms, activations and the softmax cost time, but few FLOPs, and are not counted.",
            "Memory is that of eager execution; torch.compile keeps less. The preflight of a run "
            "on a GPU measures it.",
        ],
    )


def _count(overrides: Sequence[str], question: CostOptions) -> dict[str, Any]:
    return cost_report(compose([*overrides, "runtime.policy=exact"]).as_dict(), question, "cuda")


def _section(table: Table, text: Sequence[str] = (), **more: Any) -> Section:
    return Section(table.heading, [*text, *table.notes], table.columns, table.rows, **more)


def _overview(shown: Mapping[str, Mapping[str, Any]], sizes: Accounts) -> Section:
    table = comparison_table(shown)
    kept = [index for index, name in enumerate(table.columns) if index < 8 and name != "other"]
    picked = dataclasses.replace(
        table,
        heading="Parameters and FLOPs",
        columns=[table.columns[index] for index in kept],
        rows=[[row[index] for index in kept] for row in table.rows],
    )
    text = [
        "A product of (m x n) by (n x p) is 2mnp FLOPs. With V the vocabulary, T the context, L "
        "layers, D the width and F the hidden width of the gated feed-forward: parameters "
        "2 V D + L (4 D^2 + 3 D F + 2 D) + D; forward FLOPs of a sequence "
        "L (8 T D^2 + 4 T^2 D + 6 T D F) + 2 T D V. The backward pass is twice the forward. As "
        "models grow, the head's share falls and the feed-forward's rises, since the one grows "
        "with D and the other with L D^2."
    ]
    return _section(picked, text, figure=("sizes", _draw_sizes(sizes)))


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
        [value, f"{own['flops']['forward']:,}",
         *(f"{own['flops']['shares'][group]:.1%}" for group in _GROUPS)]
        for value, own in long.items()
    ]  # fmt: skip
    text = [
        f"From context {int(first):,} to {int(last):,} the tokens of a sequence grow "
        f"{int(last) // int(first)}-fold and its FLOPs {growth:.1f}-fold: scores and mixing grow "
        "with the square of the context and overtake the feed-forward layers."
    ]
    columns = ["context", "forward FLOPs", *_GROUPS]
    return Section(f"Longer contexts for {name}", text, columns, rows,
                   figure=("contexts", draw_flop_breakdown("context", long)))  # fmt: skip


_GROUPS = {"attention": BLUE, "feed-forward": ORANGE, "head": GREEN}


def _draw_sizes(sizes: Accounts) -> Figure:
    figure = new_figure(7, 3.6)
    axes = figure.add_subplot()
    below = [0.0] * len(sizes)
    for group, colour in _GROUPS.items():
        own = [found["flops"]["shares"][group] for found in sizes.values()]
        axes.bar(list(sizes), own, bottom=below, label=group, color=colour, width=0.6)
        below = [low + share for low, share in zip(below, own, strict=True)]
    axes.set_ylabel("share of forward FLOPs")
    axes.set_ylim(0, 1.15)
    axes.legend(loc="upper center", ncols=3, frameon=False)
    add_grid(axes)
    return figure


def _adamw(name: str, found: Mapping[str, Any], question: CostOptions) -> Section:
    paper = found["textbook"]
    assert question.memory is not None
    lines = [*paper["expression"], f"P = {paper['parameters']:,}", paper["evaluated"]]
    text = [
        "The list on paper: in each layer two norms, queries, keys, values, scores, softmax, mixed "
        "values, output projection, first feed-forward matrix, SiLU, second matrix; then final "
        "norm, logits and cross-entropy; all float32, feed-forward layers of two matrices with "
        "F = 4D, an embedding and a head of their own.",
        f"{paper['largest_batch']} sequences fit into {question.memory / GIGABYTE:g} GB.",
        "An update of AdamW takes about 14 FLOPs a parameter: "
        f"{14 * paper['parameters']:,}, nothing beside the {found['flops']['training']:,} FLOPs of "
        "one sequence.",
    ]
    return Section(f"AdamW's memory for {name}, on paper", text,
                   blocks=[("expression", "\n".join(lines))])  # fmt: skip


def _kept(name: str, question: CostOptions) -> Section:
    """What a run really keeps, by how it computes."""
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "plain attention, float32": ("exact", {"fused_attention": False}),
        "fused attention, float32": ("exact", {}),
        "and the loss in chunks": ("fast", {}),
        "and in bf16": ("bf16", {}),
        "and blocks computed again": ("bf16", {"checkpointing": True}),
    }
    rows = []
    for told, (policy, changes) in ways.items():
        words = [f"model={name}", "training.batch_size=1", "validation.batch_size=1",
                 f"runtime.policy={policy}"]  # fmt: skip
        asked = dataclasses.replace(question, **changes)
        held = cost_report(compose(words).as_dict(), asked, "cuda")["memory"]
        fixed = held["parameters"] + held["gradients"] + held["optimizer"]
        rows.append(
            [told, f"{fixed / GIGABYTE:.2f}", f"{held['activations'] / GIGABYTE:.2f}",
             f"{held['loss'] / GIGABYTE:.2f}", str(held["largest_batch"])]
        )  # fmt: skip
    text = [
        f"What autograd keeps of one sequence of {name} with its gated feed-forward layer (three "
        "matrices, so more parameters than on paper), by how the run computes. Weights contain "
        "the bf16 copies of the matrices where there are any."
    ]
    columns = ["", "weights, gradients, moments, GB", "activations of one sequence, GB",
               "logits and their gradients, GB", "largest batch"]  # fmt: skip
    return Section("What a run keeps", text, columns, rows)


def _duration(name: str, found: Mapping[str, Any]) -> Section:
    time = found["time"]
    text = [
        f"{time['steps']:,} updates of {time['batch_size']:,} sequences on one device of "
        f"{time['peak'] / 1e12:g} TFLOP/s at {time['mfu']:.0%}: {time['step_flops']:.4g} FLOPs an "
        f"update (3 x {found['flops']['forward']:,} x {time['batch_size']:,}), "
        f"{time['step_seconds']:,.0f} s an update, {format_duration(time['run_seconds'])} in all."
    ]
    return Section(f"How long {name} trains", text)
