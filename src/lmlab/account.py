"""``python -m lmlab.account model=gpt2_xl``: what a configuration costs, without running it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from lmlab.accounting.cost_report import CostOptions, cost_report
from lmlab.accounting.tables import Table, comparison_table, report_tables, share_table
from lmlab.accounting.units import parse_bytes, parse_flops
from lmlab.console.command_line import Command
from lmlab.console.options import Valid, argument, at_least, one_of, option
from lmlab.console.stdout import run_main, stdout_console
from lmlab.errors import ConfigError
from lmlab.storage.json_text import dump_json


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    settings: tuple[str, ...] = argument(
        (),
        metavar="KEY=VALUE",
        help="settings of python -m lmlab.train; give one key several comma-separated values to "
        "sweep over them",
    )
    config: tuple[Path, ...] = option(
        (),
        metavar="FILE.yaml",
        help="a file of settings; those on the command line take precedence",
    )
    run: Path | None = option(None, metavar="FOLDER", help="a run, whose configuration is counted")
    compare: str | None = option(
        None,
        metavar="LIST",
        help="configurations to compare, each a model name, settings, or both: "
        '[gpt2_small,"gpt2_xl optim=sgd"]',
    )
    memory: str | None = option(
        None,
        metavar="BYTES",
        help="find the largest batch that fits in this much memory, e.g. 80GB "
        "(1 GB: 10^9 bytes) or 80GiB (1 GiB: 2^30 bytes)",
    )
    peak: str | None = option(
        None,
        metavar="FLOP/S",
        help="peak throughput of the device, e.g. 312TFLOP/s; estimates the time per update and "
        "per run",
    )
    mfu: float = option(
        0.5,
        valid=Valid(lambda value: 0 < value <= 1, "a number above 0 and at most 1"),
        help="model FLOPs utilization: the fraction of the peak that training reaches",
    )
    attention: str = option(
        "fused",
        valid=one_of("fused", "plain"),
        metavar="KIND",
        help="plain: unfused attention that materializes the full score matrix",
    )
    loss_chunk: int | None = option(
        None,
        valid=at_least(1),
        help="number of tokens whose logits are in memory at a time; null: all tokens of a "
        "forward pass",
    )
    checkpointing: bool = option(
        False,
        help="activation checkpointing: store only the inputs of the blocks, and recompute the "
        "activations",
    )
    measure: bool = option(False, help="run a few training steps on this device and time them")
    figure: str | None = option(
        None,
        metavar="FILE.png",
        help="plot each component's share of the FLOPs across the sweep, as PNG, SVG and PDF",
    )
    json: bool = option(False, help="print JSON")
    markdown: bool = option(False, help="print Markdown")


@dataclasses.dataclass(frozen=True)
class Request:
    """What to compute, from the options.

    Attributes:
        overrides: settings of a run.
        sweep: key and values of a sweep; None for none.
        compared: names and their settings.
        cost_options: device, memory and ways of computing.
        measure: whether to run real steps.
        figure: where the shares are drawn; None for nowhere.
        format: ``text``, ``json`` or ``markdown``.
        run: folder of the run to count; None to compose the settings.
    """

    overrides: tuple[str, ...]
    sweep: tuple[str, tuple[str, ...]] | None
    compared: tuple[tuple[str, tuple[str, ...]], ...]
    cost_options: CostOptions
    measure: bool
    figure: Path | None
    format: str
    run: Path | None = None


def parse(options: Options) -> Request:
    """Interpret the options. Raises :class:`ConfigError` naming the key and the fix."""
    overrides: list[str] = []
    settings, run = _settings_and_run(options)
    if options.config:
        from lmlab.config.override_file import read_override_files

        files = read_override_files(options.config, settings)
        overrides += [override for given in files.values() for override in given]
    sweeps: list[tuple[str, tuple[str, ...]]] = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(
                f"{setting}: expected key=value", f"write model={setting} to select a model"
            )
        if "," in value and value[0] not in "[{\"'":
            sweeps.append((key, tuple(value.split(","))))
        else:
            overrides.append(setting)
    if len(sweeps) > 1:
        keys = ", ".join(key for key, _ in sweeps)
        raise ConfigError(
            f"{keys}: expected a sweep over one key", "give every other key a single value"
        )
    if sweeps and options.compare is not None:
        raise ConfigError(
            f"{sweeps[0][0]}: expected either a sweep or compare=, not both", "remove one of them"
        )
    return Request(
        overrides=tuple(overrides),
        sweep=sweeps[0] if sweeps else None,
        compared=() if options.compare is None else tuple(_compared(options.compare)),
        cost_options=_cost_options(options),
        measure=options.measure,
        figure=_figure(options.figure, bool(sweeps)),
        format="json" if options.json else "markdown" if options.markdown else "text",
        run=run,
    )


def _settings_and_run(options: Options) -> tuple[tuple[str, ...], Path | None]:
    """Take a run's folder from ``run=``, or from the only positional argument."""
    settings, run = options.settings, options.run
    folders = [Path(each) for each in settings if (Path(each) / "config.yaml").is_file()]
    if run is None and folders:
        settings, run = tuple(each for each in settings if Path(each) != folders[0]), folders[0]
    if run is None:
        return settings, None
    if settings or options.config or options.compare is not None or options.measure:
        raise ConfigError(
            f"run={run}: expected no settings, config=, compare= or --measure with it",
            "a run's configuration is counted as it is",
        )
    return settings, run


def _compared(value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not (value.startswith("[") and value.endswith("]") and value[1:-1].strip()):
        raise ConfigError(f"compare={value}: expected a list such as [gpt2_small,gpt2_xl]")
    for item in value[1:-1].split(","):
        settings = item.strip().strip("\"'").split()
        if not settings:
            raise ConfigError(
                f"compare={value}: expected no empty entry",
                "write for example compare=[gpt2_small,gpt2_xl]",
            )
        yield " ".join(settings), tuple(s if "=" in s else f"model={s}" for s in settings)


def _cost_options(options: Options) -> CostOptions:
    return CostOptions(
        memory=None if options.memory is None else parse_bytes("memory", options.memory),
        peak=None if options.peak is None else parse_flops("peak", options.peak),
        mfu=options.mfu,
        fused_attention=options.attention == "fused",
        loss_chunk=options.loss_chunk,
        checkpointing=options.checkpointing,
    )


def _figure(value: str | None, is_sweep: bool) -> Path | None:
    if value is None:
        return None
    if not is_sweep:
        raise ConfigError(
            f"figure={value}: valid only with a sweep",
            "add one, for example model.context_length=1024,4096,16384",
        )
    if Path(value).suffix not in (".png", ".svg", ".pdf"):
        raise ConfigError(
            f"figure={value}: expected FILE.png, FILE.svg or FILE.pdf (all are written)"
        )
    return Path(value)


def device_type(setting: str) -> str:
    """Return the device type of ``runtime.device``; resolve ``auto`` without importing torch."""
    if setting != "auto":
        return setting.partition(":")[0]
    if os.path.exists("/dev/nvidiactl"):
        return "cuda"
    return "mps" if sys.platform == "darwin" and os.uname().machine == "arm64" else "cpu"


def count(overrides: Sequence[str], cost_options: CostOptions) -> dict[str, Any]:
    """Count what ``overrides`` compose. Raises :class:`ConfigError`."""
    from lmlab.config.compose import compose

    return _report(compose(overrides).as_dict(), cost_options)


def _report(config: dict[str, Any], cost_options: CostOptions) -> dict[str, Any]:
    from lmlab.config.run_length import require_known_steps

    require_known_steps(config, "in lmlab.account, which trains nothing")
    return cost_report(config, cost_options, device_type(config["runtime"]["device"]))


def answer(request: Request) -> tuple[Any, list[Table]]:
    """Compute the request, as JSON values and as tables."""
    cost_options = request.cost_options
    if request.sweep is not None:
        key, values = request.sweep
        found = {v: count([*request.overrides, f"{key}={v}"], cost_options) for v in values}
        table = share_table(key, found)
        if request.figure is not None:
            from lmlab.study.figure_style import save
            from lmlab.study.flop_breakdown import draw_flop_breakdown

            paths = save(draw_flop_breakdown(key, found), request.figure.with_suffix(""))
            table = dataclasses.replace(table, notes=[f"Figure: {path}" for path in paths])
        return found, [table, comparison_table(found)]
    if request.compared:
        found = {
            name: count([*request.overrides, *settings], cost_options)
            for name, settings in request.compared
        }
        return found, [comparison_table(found)]
    if request.run is not None:
        from lmlab.config.compose import load_frozen

        one = _report(load_frozen(request.run / "config.yaml").as_dict(), cost_options)
    else:
        one = count(request.overrides, cost_options)
    tables = report_tables(one)
    if request.measure:
        one["measured"], table = _measure(request)
        tables.append(table)
    return one, tables


def _measure(request: Request) -> tuple[dict[str, Any], Table]:
    """Time a few real steps; only this imports torch."""
    from lmlab.build.run_spec import resolve
    from lmlab.config.compose import compose
    from lmlab.preflight.run_preflight import measure_here
    from lmlab.runs.auto_settings import choose_device

    spec = resolve(compose(request.overrides))
    return measure_here(spec, choose_device(spec))


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables to the terminal."""
    console = stdout_console(200)
    for table in tables:
        rich_table = RichTable(
            title=table.heading,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
        )
        for index, column in enumerate(table.columns):
            right = index > 0 and not column.startswith("shares")
            rich_table.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            rich_table.add_row(*(Text(cell) for cell in row))
        console.print(rich_table)
        for note in table.notes:
            console.print(Text(note, "dim"))
        console.print()


def to_markdown(tables: Sequence[Table]) -> str:
    """Format tables as Markdown."""
    lines = []
    for table in tables:
        lines += [f"## {table.heading}", ""]
        lines.append("| " + " | ".join(table.columns) + " |")
        lines.append("|---" + "|--:" * (len(table.columns) - 1) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines += ["", *(f"{note}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def act(options: Options) -> None:
    """Compute what the options ask for, and print it."""
    request = parse(options)
    values, tables = answer(request)
    if request.format == "json":
        print(dump_json(values, indent=2, ensure_ascii=True))
    elif request.format == "markdown":
        print(to_markdown(tables), end="")
    else:
        print_tables(tables)


COMMAND = Command(
    name="account",
    options=Options,
    act=act,
    description="Compute the cost of a configuration of python -m lmlab.train: parameters, FLOPs,\n"
    "memory by part, and disk space. No training step is run, unless --measure is given.",
    examples=[
        "model=gpt2_xl memory=80GB peak=19.5TFLOP/s training.batch_size=1024",
        "model=gpt2_xl model.context_length=1024,4096,16384 figure=shares.png",
        "'compare=[gpt2_small,gpt2_xl model.context_length=16384]' --json",
    ],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
