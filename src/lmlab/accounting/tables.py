"""Accounts as tables of text, for the terminal, Markdown and write-ups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_bytes, format_duration

_BAR = 40
_MARKS = {"attention": "#", "feed-forward": "=", "head": "."}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its heading.

    Attributes:
        heading: above it.
        columns: titles.
        rows: cells of text.
        notes: sentences below it.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def report_tables(found: Mapping[str, Any]) -> list[Table]:
    """The tables of one account (:func:`lmlab.accounting.cost_report.cost_report`)."""
    tables = [_parameters(found["parameters"]), _flops(found["flops"]), _memory(found["memory"])]
    return [*tables, _cost(found), _textbook(found["textbook"])]


def _parameters(found: Mapping[str, Any]) -> Table:
    rows = [
        [name, f"{count:,}", f"{count / found['total']:.1%}"]
        for name, count in found["components"].items()
    ]
    rows.append(["all", f"{found['total']:,}", ""])
    note = f"{format_bytes(found['bytes'])} in float32."
    return Table("Parameters", ["component", "parameters", "share"], rows, [note])


def _flops(found: Mapping[str, Any]) -> Table:
    rows = [
        [name, f"{own['counted']:,}", f"{own['share']:.1%}", f"{own['causal']:,}"]
        for name, own in found["components"].items()
    ]
    rows.append(["forward", f"{found['forward']:,}", "", f"{found['forward_causal']:,}"])
    rows.append(
        ["forward and backward", f"{found['training']:,}", "", f"{found['training_causal']:,}"]
    )
    shares = ", ".join(f"{name} {share:.1%}" for name, share in found["shares"].items())
    notes = [
        f"Shares: {shares}.",
        "Counted: every pair of a query and a key, as a product of whole matrices; a causal "
        "kernel executes the pairs that the mask leaves.",
    ]
    columns = ["FLOPs of one sequence", "counted", "share", "with a causal kernel"]
    return Table("FLOPs", columns, rows, notes)


def _memory(found: Mapping[str, Any]) -> Table:
    names = {
        "parameters": "parameters and tables",
        "gradients": "gradients",
        "optimizer": "optimizer state",
        "activations": "activations, as this run keeps them",
        "loss": "logits and their gradients",
        "saving": "copies that are being saved, in the host's memory",
        "training_peak": "peak of training",
        "validation_peak": "peak of an evaluation",
        "textbook_activation_values": "activations by the list on paper, float32",
    }
    rows = [[told, f"{found[key]:,}", format_bytes(found[key])] for key, told in names.items()]
    accumulates = f", {found['passes']} passes an update" if found["passes"] > 1 else ""
    notes = [
        f"{found['micro_batch_size']} sequences a pass{accumulates}, {found['precision']} on "
        f"{found['device']}, without torch.compile."
    ]
    if "largest_batch" in found:
        notes.append(
            f"Largest batch of one pass in {format_bytes(found['available'])}: "
            f"{found['largest_batch']:,} sequences."
        )
    return Table("MemoryEstimate", ["part", "bytes", ""], rows, notes)


def _cost(found: Mapping[str, Any]) -> Table:
    time, disk = found["time"], found["disk"]
    rows = [
        ["FLOPs of an update", f"{time['step_flops']:.4g}"],
        ["FLOPs of the optimizer", f"{time['update_flops'] or 0:.4g}"],
        ["FLOPs of the run", f"{time['run_flops']:.4g}"],
        ["disk, at the end", format_bytes(disk["left"])],
        ["disk, while saving", format_bytes(disk["most"])],
    ]
    if time["update_flops"] is None:
        del rows[1]
    if "step_seconds" in time:
        told = f"{time['peak']:.4g} FLOP/s at {time['mfu']:.0%}"
        rows.append([f"an update on {told}", f"{time['step_seconds']:,.4g} s"])
        rows.append([f"{time['steps']:,} updates", format_duration(time["run_seconds"])])
    return Table("Run", [f"{time['steps']:,} x {time['batch_size']:,} sequences", ""], rows)


def _textbook(found: Mapping[str, Any]) -> Table:
    rows = [[line] for line in found["expression"]]
    rows.append([f"P = {found['parameters']:,}"])
    rows.append([found["evaluated"]])
    if "largest_batch" in found:
        rows.append([f"largest batch: {found['largest_batch']}"])
    notes = [
        "Two feed-forward matrices and F = 4D, whatever this model has. With 19 L + 1 in place of "
        f"16 L + 1, as is sometimes written, it would be {found['evaluated_with_19L']}; the list's "
        "own rows sum to 16 L + 1."
    ]
    return Table("AdamW on paper, float32", ["expression"], rows, notes)


def comparison_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Several accounts side by side, one row each."""
    groups = list(dict.fromkeys(name for own in found.values() for name in own["flops"]["shares"]))
    columns = ["", "parameters", "float32", "forward FLOPs", "with a causal kernel", *groups,
               "activations a pass", "peak memory"]  # fmt: skip
    with_batch = any("largest_batch" in own["memory"] for own in found.values())
    rows = []
    for name, own in found.items():
        shares = [f"{own['flops']['shares'].get(group, 0):.1%}" for group in groups]
        memory = own["memory"]
        row = [
            name, f"{own['parameters']['total']:,}", format_bytes(own["parameters"]["bytes"]),
            f"{own['flops']['forward']:,}", f"{own['flops']['forward_causal']:,}", *shares,
            format_bytes(memory["activations"]), format_bytes(memory["peak"]),
        ]  # fmt: skip
        rows.append([*row, f"{memory['largest_batch']:,}"] if with_batch else row)
    if with_batch:
        columns.append("largest batch")
    return Table("Side by side", columns, rows, ["FLOPs and shares are of one sequence."])


def share_table(key: str, found: Mapping[str, Mapping[str, Any]]) -> Table:
    """How the shares of forward FLOPs change along a swept key, with bars."""
    rows = []
    for value, own in found.items():
        parts = own["flops"]["shares"]
        told = [f"{parts.get(group, 0):.1%}" for group in _MARKS]
        rows.append([value, f"{own['flops']['forward']:,}", *told, bar(parts)])
    legend = ", ".join(f"{mark} {group}" for group, mark in _MARKS.items())
    columns = [key, "forward FLOPs", *_MARKS, f"shares: {legend}"]
    return Table(f"Shares by {key}", columns, rows)


def bar(parts: Mapping[str, float]) -> str:
    """Shares as one bar of characters; each boundary is rounded, so that the length is fixed."""
    drawn, before = "", 0.0
    for group, mark in _MARKS.items():
        after = before + parts.get(group, 0.0)
        drawn += mark * (round(_BAR * after) - round(_BAR * before))
        before = after
    return drawn
