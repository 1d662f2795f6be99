"""The runs of a study, and the results of a plain sweep, as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from lmlab.design.comparison import METRICS
from lmlab.study.markdown import number_text
from lmlab.study.plain_text import csv_cell
from lmlab.study.verdicts import OWN_RATE

_RUN_COLUMNS = (
    "arm", "lr", "seed", "purpose", "status", "steps", "tokens", "seconds", "loss",
    "bits_per_byte",
)  # fmt: skip


def render_csv(content: dict[str, Any]) -> str:
    """Render one row per run, started or not, with final values, empty without any.

    ``loss`` is in nats per token, whatever metric the study compares runs by. The seeds of
    initialization and data, where a run pins one, swept settings, and the scores by the further
    metrics of ``design.metrics`` follow as further columns. A row of a ladder begins with its rung,
    and has the parameters and the training FLOPs of its cell.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    swept = content["sweep"]["keys"]
    values = {row["arm"]: row["values"] for row in content["sweep"]["rows"]}
    pinned = ("init", "data") if any(run["seeds"] for run in content["runs"]) else ()
    of_ladder = ("rung", "parameters", "flops") if content["ladder"] is not None else ()
    run_columns = (*of_ladder[:1], *_RUN_COLUMNS, *of_ladder[1:])
    metrics = [one["name"] for one in content["metrics"]]
    columns = [*run_columns, *(f"seeds.{name}" for name in pinned), *swept, *metrics]
    writer.writerow(map(csv_cell, columns))
    for run in content["runs"]:
        shown = run | {"lr": number_text(run["lr"])}
        found = values.get(run["arm"], [""] * len(swept))
        seeds = [run["seeds"].get(name, run["seed"]) for name in pinned]
        own = [shown[column] for column in run_columns]
        scores = [run["scores"].get(name) for name in metrics]
        writer.writerow(map(csv_cell, [*own, *seeds, *found, *scores]))
    return buffer.getvalue()


def render_verdicts_csv(content: dict[str, Any]) -> str:
    """Render the verdicts by all metrics of a study: one row per metric and compared arm.

    ``difference`` is arm minus baseline in ``unit``. ``low`` to ``high`` is the interval on which
    the verdict rests, at ``confidence``; ``p`` and ``adjusted_p`` are empty below two pairs of
    runs. ``items`` is empty for a metric that is no mean over items.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = (
        "arm", "lr", "seeds", "pairs", "mean", "sd", "difference", "low", "high", "confidence", "p",
        "adjusted_p",
    )  # fmt: skip
    writer.writerow(["metric", "unit", "sense", "items", *columns, "verdict", "detail"])
    main = next(key for key, unit in METRICS.items() if unit == content["unit"])
    own = [row for row in content["verdicts"] if row["at"] == OWN_RATE]
    first = {"name": main, "unit": content["unit"], "sense": "lower is better", "items": None}
    for metric in [first | {"rows": own}, *content["metrics"]]:
        head = [metric[key] for key in ("name", "unit", "sense", "items")]
        for row in metric["rows"]:
            shown = row | {"lr": number_text(row["lr"])}
            values = [shown[column] for column in columns]
            told = [row["shown_verdict"], row["detail"].lstrip(":, ")]
            writer.writerow(map(csv_cell, [*head, *values, *told]))
    return buffer.getvalue()


def render_sweep_csv(content: dict[str, Any]) -> str:
    """Render the results of a plain sweep: one row per arm, the lowest mean loss first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ("mean", "sd", "seeds", "status")
    metric = next(key for key, unit in METRICS.items() if unit == content["unit"])
    head = [*content["sweep"]["keys"], f"mean_{metric}", *columns[1:], "arm"]
    writer.writerow(map(csv_cell, head))
    for row in content["sweep"]["rows"]:
        values = [*row["values"], *(row[column] for column in columns), row["arm"]]
        writer.writerow(map(csv_cell, values))
    return buffer.getvalue()


def render_gains_csv(ladder: dict[str, Any]) -> str:
    """Render the gains of a ladder: one row per axis, arm and rung.

    ``gain`` is empty where there is only a ``bound``, at least or at most ``bound_gain``; ``low``
    and ``high`` are empty where the ladder does not bound them. ``cost`` is that of the baseline:
    training FLOPs, or seconds.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ("gain", "low", "high", "bound", "bound_gain")
    writer.writerow(["axis", "rung", "arm", "cost", *columns])
    for axis, gains in (("flops", ladder["gains"]), ("seconds", ladder["timed"]["gains"])):
        for row in gains:
            for one in row["rungs"]:
                name = ladder["rungs"][one["rung"]]["name"]
                values = [axis, name, row["arm"], one["cost"], *(one[key] for key in columns)]
                writer.writerow(map(csv_cell, values))
    return buffer.getvalue()


def render_effects_csv(factorial: dict[str, Any]) -> str:
    """Render the effects of a factorial study: one row per effect, those of low order first.

    ``order`` is the number of factors. Effects of more than two have no verdict; ``low``, ``high``,
    ``p`` and ``adjusted_p`` are empty for these, and with fewer than two seeds.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = ("estimate", "low", "high", "confidence", "p", "adjusted_p", "verdict", "aliases")
    writer.writerow(["effect", "order", *columns])
    for row in factorial["effects"]:
        values = [row["name"], row["order"], *(row[column] for column in columns)]
        writer.writerow(map(csv_cell, values))
    return buffer.getvalue()


def render_optima_csv(isoflop: dict[str, Any]) -> str:
    """Render the best size of each budget of an isoFLOP study: one row per budget.

    ``bound`` is empty for a best size between the sizes; with ``at least`` or ``at most``, that is
    what ``parameters`` are, and ``tokens`` are the opposite; with ``flat``, nothing is known. Ends
    of intervals are empty where they are not bounded.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    quantities = ("parameters", "tokens", "tokens_per_parameter", "loss")
    parts = (("", "value"), ("_low", "low"), ("_high", "high"))
    columns = [f"{quantity}{suffix}" for quantity in quantities for suffix, _ in parts]
    writer.writerow(["budget", "flops", "bound", *columns])
    for row in isoflop["optima"]:
        values = [row[quantity][key] for quantity in quantities for _, key in parts]
        name = isoflop["budgets"][row["rung"]]["name"]
        writer.writerow(map(csv_cell, [name, row["flops"], row["bound"], *values]))
    return buffer.getvalue()
