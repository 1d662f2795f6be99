"""``python -m lmlab.account model=gpt2_xl``: what a configuration costs, without running it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from lmlab.accounting.cost_report import CostOptions, cost_report
from lmlab.accounting.tables import Table, comparison_table, report_tables, share_table
from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.console.command_line import run_main, stdout_console
from lmlab.errors import ConfigError, UserError

HELP = """\
usage: python -m lmlab.account [group=option ...] [key=value ...] [--json | --markdown]

Says what a configuration of python -m lmlab.train costs: parameters, FLOPs, memory by part, disk.

  model=gpt2_xl model.context_length=16384     any settings of python -m lmlab.train
  model.context_length=1024,4096,16384         a sweep of one key: shares by value
  compare=[gpt2_small,"gpt2_xl optim=sgd"]     several side by side: models, or settings

  memory=80GB           the largest batch that fits (GB is 10^9 bytes, GiB 2^30)
  peak=312TFLOP/s       time of an update and of the run on such a device
  mfu=0.5               share of that peak which is reached
  attention=fused       or plain: products of whole matrices, whose scores are kept
  loss_chunk=null       tokens whose logits exist at a time; null: all of a pass
  checkpointing=false   true: keep the inputs of the blocks alone, compute the rest again
  measure=false         true: take a few real steps on this device and tell their time
  figure=null           FILE.png or FILE.svg: draw the shares of a sweep, in both forms

example: python -m lmlab.account model=gpt2_xl memory=80GB peak=19.5TFLOP/s training.batch_size=1024
"""
_OWN = ("compare", "memory", "peak", "mfu", "attention", "loss_chunk", "checkpointing", "measure",
        "figure")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """The command line; see :data:`HELP`.

    Attributes:
        overrides: settings of a run.
        swept: key and values of a sweep.
        compared: names and their settings.
        question: what is asked.
        measure: whether to take real steps.
        figure: where the shares are drawn.
        form: ``text``, ``json`` or ``markdown``.
    """

    overrides: tuple[str, ...] = ()
    swept: tuple[str, tuple[str, ...]] | None = None
    compared: tuple[tuple[str, tuple[str, ...]], ...] = ()
    question: CostOptions = dataclasses.field(default_factory=CostOptions)
    measure: bool = False
    figure: Path | None = None
    form: str = "text"


def parse(argv: Sequence[str]) -> Options:
    """Read the words of the command line. Raises :class:`ConfigError` naming the key and fix."""
    own: dict[str, str] = {}
    overrides: list[str] = []
    swept: list[tuple[str, tuple[str, ...]]] = []
    form = "text"
    for word in argv:
        key, equals, value = word.partition("=")
        if word in ("--json", "--markdown"):
            form = word[2:]
        elif word.startswith("-") or not equals:
            raise ConfigError(f'"{word}": accepted are key=value words, --json and --markdown')
        elif key in _OWN:
            own[key] = value
        elif "," in value and value[0] not in "[{\"'":
            swept.append((key, tuple(value.split(","))))
        else:
            overrides.append(word)
    if len(swept) > 1 or (swept and "compare" in own):
        named = ", ".join(key for key, _ in swept)
        raise ConfigError(f"{named}: accepted is a sweep of one key, and no compare= beside it")
    return Options(
        overrides=tuple(overrides),
        swept=swept[0] if swept else None,
        compared=tuple(_compared(own["compare"])) if "compare" in own else (),
        question=_question(own),
        measure=_flag(own, "measure"),
        figure=_figure(own, bool(swept)),
        form=form,
    )


def _compared(value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not (value.startswith("[") and value.endswith("]") and value[1:-1].strip()):
        raise ConfigError(f"compare={value}: accepted is a list such as [gpt2_small,gpt2_xl]")
    for item in value[1:-1].split(","):
        words = item.strip().strip("\"'").split()
        if not words:
            raise ConfigError(f"compare={value}: an entry is empty; write [gpt2_small,gpt2_xl]")
        yield " ".join(words), tuple(w if "=" in w else f"model={w}" for w in words)


def _question(own: dict[str, str]) -> CostOptions:
    attention, chunk = own.get("attention", "fused"), own.get("loss_chunk", "null")
    if attention not in ("fused", "plain"):
        raise ConfigError(f"attention={attention}: accepted is fused or plain")
    if chunk != "null" and not (chunk.isdigit() and int(chunk)):
        raise ConfigError(f"loss_chunk={chunk}: accepted is tokens, 1 or more, or null")
    mfu = own.get("mfu", "0.5")
    if not re.fullmatch(r"\d*\.?\d+", mfu) or not 0 < float(mfu) <= 1:
        raise ConfigError(f"mfu={mfu}: accepted is above 0, at most 1, for example mfu=0.5")
    return CostOptions(
        memory=parse_bytes("memory", own["memory"]) if "memory" in own else None,
        peak=parse_flops("peak", own["peak"]) if "peak" in own else None,
        mfu=float(mfu),
        fused_attention=attention == "fused",
        loss_chunk=None if chunk == "null" else int(chunk),
        checkpointing=_flag(own, "checkpointing"),
    )


def _figure(own: dict[str, str], is_sweep: bool) -> Path | None:
    value = own.get("figure", "null")
    if value == "null":
        return None
    if not is_sweep:
        raise ConfigError(f"figure={value}: it draws a sweep, for example "
                          "model.context_length=1024,4096,16384")  # fmt: skip
    if Path(value).suffix not in (".png", ".svg"):
        raise ConfigError(f"figure={value}: accepted is FILE.png or FILE.svg; both are written")
    return Path(value)


def _flag(own: dict[str, str], key: str) -> bool:
    value = own.get(key, "false")
    if value not in ("true", "false"):
        raise ConfigError(f"{key}={value}: accepted is true or false")
    return value == "true"


def device_here(asked: str) -> str:
    """The kind of device of ``runtime.device``; what ``auto`` finds here, told without torch."""
    if asked != "auto":
        return asked.partition(":")[0]
    if os.path.exists("/dev/nvidiactl"):
        return "cuda"
    return "mps" if sys.platform == "darwin" and os.uname().machine == "arm64" else "cpu"


def count(overrides: Sequence[str], question: CostOptions) -> dict[str, Any]:
    """The account of what ``overrides`` compose. Raises :class:`ConfigError`."""
    from lmlab.config.compose import compose

    config = compose(overrides).as_dict()
    return cost_report(config, question, device_here(config["runtime"]["device"]))


def answer(options: Options) -> tuple[Any, list[Table]]:
    """The account as plain values, and as tables."""
    question = options.question
    if options.swept is not None:
        key, values = options.swept
        found = {v: count([*options.overrides, f"{key}={v}"], question) for v in values}
        table = share_table(key, found)
        if options.figure is not None:
            from lmlab.study.figure_style import save
            from lmlab.study.flop_breakdown import draw_flop_breakdown

            paths = save(draw_flop_breakdown(key, found), options.figure.with_suffix(""))
            table = dataclasses.replace(table, notes=[f"Drawn: {path}" for path in paths])
        return found, [table, comparison_table(found)]
    if options.compared:
        found = {name: count([*options.overrides, *own], question) for name, own in
                 options.compared}  # fmt: skip
        return found, [comparison_table(found)]
    one = count(options.overrides, question)
    tables = report_tables(one)
    if options.measure:
        one["measured"], table = _measure(options)
        tables.append(table)
    return one, tables


def _measure(options: Options) -> tuple[dict[str, Any], Table]:
    """A few real steps; torch is imported here and not before."""
    from lmlab.build.run_spec import resolve
    from lmlab.config.compose import compose
    from lmlab.preflight.run_preflight import measure_here
    from lmlab.runs.auto_settings import choose_device

    spec = resolve(compose(options.overrides))
    return measure_here(spec, choose_device(spec))


def print_tables(tables: Sequence[Table]) -> None:
    """Print for a person."""
    console = stdout_console(200)
    for table in tables:
        drawn = RichTable(title=table.heading, title_justify="left", title_style="bold", box=None,
                          pad_edge=False)  # fmt: skip
        for index, column in enumerate(table.columns):
            right = index > 0 and not column.startswith("shares")
            drawn.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            drawn.add_row(*(Text(cell) for cell in row))
        console.print(drawn)
        for note in table.notes:
            console.print(Text(note, "dim"))
        console.print()


def markdown(tables: Sequence[Table]) -> str:
    """The tables in Markdown."""
    lines = []
    for table in tables:
        lines += [f"## {table.heading}", ""]
        lines.append("| " + " | ".join(table.columns) + " |")
        lines.append("|---" + "|--:" * (len(table.columns) - 1) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines += ["", *(f"{note}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    if {"-h", "--help"} & set(argv):
        print(HELP, end="")
        return 0
    try:
        options = parse(argv)
        found, tables = answer(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.form == "json":
        print(json.dumps(found, indent=2))
    elif options.form == "markdown":
        print(markdown(tables), end="")
    else:
        print_tables(tables)
    return 0


if __name__ == "__main__":
    run_main(main)
