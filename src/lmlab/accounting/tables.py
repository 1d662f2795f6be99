"""Cost reports as tables of text, for the terminal, Markdown and write-ups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_bytes, format_count, format_duration

_BAR = 40
_MARKS = {"attention": "#", "feed-forward": "=", "head": "."}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its heading.

    Attributes:
        heading: title of the table.
        columns: titles of the columns.
        rows: cells as text.
        notes: sentences to print below the table.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def report_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a report by :func:`lmlab.accounting.cost_report.cost_report`."""
    return [
        _parameters(found["parameters"]), _flops(found["flops"]),
        _memory(found["memory"], found["missing"]), _cost(found), _textbook(found["textbook"]),
    ]  # fmt: skip


def _bytes(size: float | None) -> str:
    return "unknown" if size is None else format_bytes(size)


def _count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _parameters(found: Mapping[str, Any]) -> Table:
    rows = [
        [name, f"{count:,}", f"{count / found['total']:.1%}"]
        for name, count in found["components"].items()
    ]
    rows.append(["all", f"{found['total']:,}", ""])
    if found["active"] != found["total"]:
        share = f"{found['active'] / found['total']:.1%}"
        rows.append(["used per token", f"{found['active']:,}", share])
    size = f"{found['total']:,} parameters, {format_bytes(found['bytes'])} in float32"
    notes = [f"{found['composition']}: {size}."]
    return Table("Parameters", ["component", "parameters", "share"], rows, notes)


def _flops(found: Mapping[str, Any]) -> Table:
    rows = [
        [name, f"{flops['counted']:,}", f"{flops['share']:.1%}", f"{flops['causal']:,}"]
        for name, flops in found["components"].items()
    ]
    rows.append(["forward", f"{found['forward']:,}", "", f"{found['forward_causal']:,}"])
    rows.append(
        ["forward and backward", f"{found['training']:,}", "", f"{found['training_causal']:,}"]
    )
    shares = ", ".join(f"{name} {share:.1%}" for name, share in found["shares"].items())
    notes = [
        f"Shares: {shares}.",
        "Counted: all pairs of a query and a key, as a product of full matrices. A causal kernel "
        "executes only the pairs that the mask leaves.",
    ]
    columns = ["FLOPs of one sequence", "counted", "share", "with a causal kernel"]
    return Table("FLOPs", columns, rows, notes)


def _memory(found: Mapping[str, Any], missing: Sequence[str]) -> Table:
    names = {
        "parameters": "parameters and tables",
        "gradients": "gradients",
        "optimizer": "optimizer state",
        "activations": "activations that autograd saves",
        "loss": "logits and their gradients",
        "saving": "copies being written to disk, in host memory",
        "training_peak": "peak of training",
        "validation_peak": "peak of evaluation",
        "textbook_activations": "activations derived on paper, float32",
    }
    rows = [[name, _count(found[key]), _bytes(found[key])] for key, name in names.items()]
    accumulates = f", {found['passes']} passes per update" if found["passes"] > 1 else ""
    notes = [
        f"{format_count(found['micro_batch_size'], 'sequence')} per pass{accumulates}, "
        f"{found['precision']} on "
        f"{found['device']}, without torch.compile."
    ]
    if "largest_batch" in found:
        notes.append(
            f"Largest batch per pass in {format_bytes(found['available'])}: "
            f"{_count(found['largest_batch'])} sequences."
        )
    return Table("Memory", ["part", "bytes", ""], rows, [*notes, *missing])


def _cost(found: Mapping[str, Any]) -> Table:
    time, disk = found["time"], found["disk"]
    rows = [
        ["FLOPs per update", f"{time['step_flops']:.4g}"],
        ["FLOPs of the optimizer per update", f"{time['update_flops'] or 0:.4g}"],
        ["FLOPs of the run", f"{time['run_flops']:.4g}"],
        ["disk after the run", _bytes(disk["left"])],
        ["disk at the peak", _bytes(disk["most"])],
    ]
    if time["update_flops"] is None:
        del rows[1]
    if "step_seconds" in time:
        device = f"{time['peak']:.4g} FLOP/s at {time['mfu']:.0%}"
        rows.append([f"time per update at {device}", f"{time['step_seconds']:,.4g} s"])
        rows.append([format_count(time["steps"], "update"), format_duration(time["run_seconds"])])
    return Table(
        "Run", [f"{time['steps']:,} x {format_count(time['batch_size'], 'sequence')}", ""], rows
    )


def _textbook(found: Mapping[str, Any]) -> Table:
    rows = [[line] for line in found["expression"]]
    rows.append([f"P = {found['parameters']:,}"])
    rows.append([found["evaluated"]])
    if "largest_batch" in found:
        rows.append([f"largest batch: {found['largest_batch']}"])
    notes = [
        "Assumes two feed-forward matrices and F = 4D, regardless of this model. With 19 L + 1, as "
        f"some derivations have it, it would be {found['evaluated_with_19L']}; the terms sum to "
        "16 L + 1."
    ]
    return Table("AdamW on paper, float32", ["expression"], rows, notes)


def comparison_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Compare several reports, one row each."""
    groups = list(
        dict.fromkeys(name for report in found.values() for name in report["flops"]["shares"])
    )
    columns = ["", "parameters", "float32", "forward FLOPs", "with a causal kernel", *groups,
               "activations per pass", "peak memory"]  # fmt: skip
    with_batch = any("largest_batch" in report["memory"] for report in found.values())
    rows = []
    for name, report in found.items():
        shares = [f"{report['flops']['shares'].get(group, 0):.1%}" for group in groups]
        memory = report["memory"]
        row = [
            name, f"{report['parameters']['total']:,}", format_bytes(report["parameters"]["bytes"]),
            f"{report['flops']['forward']:,}", f"{report['flops']['forward_causal']:,}", *shares,
            format_bytes(memory["activations"]), _bytes(memory["peak"]),
        ]  # fmt: skip
        rows.append([*row, _count(memory["largest_batch"])] if with_batch else row)
    if with_batch:
        columns.append("largest batch")
    missing = dict.fromkeys(text for report in found.values() for text in report["missing"])
    notes = ["FLOPs and shares are of one sequence.", _compositions(found), *missing]
    return Table("Side by side", columns, rows, notes)


def _compositions(found: Mapping[str, Mapping[str, Any]]) -> str:
    """State the components of the models, grouped where several consist of the same ones."""
    models: dict[str, list[str]] = {}
    for name, report in found.items():
        models.setdefault(report["parameters"]["composition"], []).append(name)
    if len(models) == 1:
        return f"Each model: {next(iter(models))}."
    return "; ".join(f"{', '.join(names)}: {parts}" for parts, names in models.items()) + "."


def share_table(key: str, found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Show how the shares of forward FLOPs change along a swept key, with bars."""
    rows = []
    for value, report in found.items():
        parts = report["flops"]["shares"]
        percentages = [f"{parts.get(group, 0):.1%}" for group in _MARKS]
        rows.append([value, f"{report['flops']['forward']:,}", *percentages, bar(parts)])
    legend = ", ".join(f"{mark} {group}" for group, mark in _MARKS.items())
    columns = [key, "forward FLOPs", *_MARKS, f"shares: {legend}"]
    return Table(f"Shares by {key}", columns, rows)


def bar(parts: Mapping[str, float]) -> str:
    """Draw shares as one bar of fixed length; each boundary is rounded."""
    drawn, before = "", 0.0
    for group, mark in _MARKS.items():
        after = before + parts.get(group, 0.0)
        drawn += mark * (round(_BAR * after) - round(_BAR * before))
        before = after
    return drawn
