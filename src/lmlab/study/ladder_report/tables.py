"""The sections on what a ladder shows: gains, losses, times and sealed forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_duration
from lmlab.study.ladder_report.rate_tables import rate_section, rung_section
from lmlab.study.ladder_report.seal_rows import inside_share
from lmlab.study.ladder_report.sections import Section, section, table
from lmlab.study.ladder_report.wording import (
    factor_text,
    interval_text,
    rung_name,
    with_interval,
)
from lmlab.study.statistics import level_name


def build_sections(content: Mapping[str, Any]) -> list[Section]:
    """Return the sections of a ladder's report, without those that have nothing to show.

    Args:
        content: plain values of the ladder; see
            :func:`lmlab.study.ladder_report.ladder_content.build_ladder`.
    """
    sections = [
        _gains(content),
        _losses(content),
        _timed(content),
        _seals(content),
        rung_section(content),
        rate_section(content),
    ]
    return [one for one in sections if one["tables"] or one["notes"] or one["figures"]]


def _gains(content: Mapping[str, Any]) -> Section:
    by_arm = {row["arm"]: row for row in content["gains"]}
    rows, top = [], content["rungs"][max(content["num_analysed"] - 1, 0)]["name"]
    for row in content["verdicts"]:
        gains = by_arm.get(row["arm"])
        trend = None if gains is None else gains["trend"]
        rows.append(
            [
                row["arm"],
                f"{row['sentence']}: {row['advice']}" if row["advice"] else row["sentence"],
                "" if gains is None else with_interval(gains["rungs"][-1]),
                *(_line(trend) if trend is not None else ("", "", "")),
                _p(row),
            ]
        )
    columns = [
        "arm", "verdict", f"gain at {top}", "trend at r1", f"trend at {top}",
        "change per tenfold compute", "adjusted p",
    ]  # fmt: skip
    level, name = content["confidence"], content["baseline"]
    notes = []
    if content["gains"]:
        notes = [
            f"A gain of 1.3 means that {name} needs 1.3 times the training compute for the loss "
            f"of the arm. In parentheses: {level} intervals. At least and at most are bounds, "
            "where neither curve reaches the loss of the other within the ladder. Verdicts are "
            "about the trend: a straight line through the logarithms of the gains.",
            *_misfit_notes(content["gains"], "compute"),
        ]
    return section(
        "gains",
        "Gains and verdicts",
        [
            table("verdicts", columns, rows, (0, 1)),
            _gain_table(content["gains"], content["rungs"]),
        ],
        notes,
        ["gains"] if content["gains"] else [],
    )


def _misfit_notes(gains: Sequence[Mapping[str, Any]], cost: str) -> list[str]:
    """Name the arms whose gains are off their line by more than noise explains.

    Args:
        gains: by ``cost``, of each arm.
        cost: ``compute`` or ``time``.
    """
    off = [
        f"{row['arm']} (p = {row['trend']['misfit_p']:.2g})"
        for row in gains
        if row["trend"] is not None
        and row["trend"]["misfit_p"] is not None
        and row["trend"]["misfit_p"] < 0.05
    ]
    if not off:
        return []
    return [
        "Gains that no straight line in the logarithms describes, so that the change per tenfold "
        f"{cost} is an average: {', '.join(off)}."
    ]


def _gain_table(
    gains: Sequence[Mapping[str, Any]], rungs: Sequence[Mapping[str, Any]], label: str = "gains"
) -> dict[str, Any]:
    number = max((len(row["rungs"]) for row in gains), default=0)
    return table(
        f"{label} by rung",
        ["arm", *(rung["name"] for rung in rungs[:number])],
        [[row["arm"], *map(with_interval, row["rungs"])] for row in gains],
    )


def _line(trend: Mapping[str, Any]) -> tuple[str, str, str]:
    return _end(trend, 0), _end(trend, -1), _factor(trend)


def _end(trend: Mapping[str, Any], index: int) -> str:
    """Return the line of a trend at its first or last rung, with its interval."""
    ends = interval_text(trend["band_low"][index], trend["band_high"][index])
    return f"{factor_text(trend['line'][index])} ({ends})"


def _factor(row: Mapping[str, Any]) -> str:
    return f"times {factor_text(row['factor'])} ({interval_text(row['low'], row['high'])})"


def _p(row: Mapping[str, Any]) -> str:
    if row["adjusted_p"] is None:
        return ""
    return f"{row['adjusted_p']:.2g}{' (not adjusted)' if row['is_replicate'] else ''}"


def _losses(content: Mapping[str, Any]) -> Section:
    names = [rung["name"] for rung in content["rungs"]]
    losses = [[row["arm"], *(loss_cell(one) for one in row["rungs"])] for row in content["losses"]]
    fits = [
        [
            row["arm"],
            _asymptote(row["shared"]),
            _law(row["shared"]),
            _asymptote(row["free"]),
            _law(row["free"]),
            "not known" if row["misfit"] is None else f"{row['misfit']:.4f}",
        ]
        for row in content["fits"]
    ]
    residuals = [
        [
            row["arm"],
            *(
                f"{value:+.4f} ({error:.4f})"
                for value, error in zip(row["residuals"], row["errors"], strict=True)
            ),
        ]
        for row in content["residuals"]
    ]
    columns = ["arm", "E, shared", "law, E shared", "E, free", "law, E free", "misfit"]
    notes = []
    if fits:
        notes = [
            "Power laws L(C) = E + A (C / C1)^-a for the compute C, in nats per token, where C1 is "
            f"the compute of r1 and E has {content['confidence']} intervals. Verdicts rest on E "
            "shared by an arm and the baseline; E of its own shows how much a single curve tells.",
            _misfit_note(content),
            "Residuals are mean losses minus the law with E shared; in parentheses, the standard "
            "error that noise and learning rates let expect.",
        ]
    number = len(content["residuals"][0]["residuals"]) if content["residuals"] else 0
    return section(
        "losses",
        "Loss against compute",
        [
            table("final losses: mean, standard deviation, seeds", ["arm", *names], losses),
            table("power laws", columns, fits),
            table("residuals", ["arm", *names[:number]], residuals),
        ],
        notes,
        ["loss_by_compute"] if any(one["mean"] for r in content["losses"] for one in r["rungs"])
        else [],
    )  # fmt: skip


def _misfit_note(content: Mapping[str, Any]) -> str:
    """State what misfit is, with that of the replicate for comparison."""
    text = (
        "Misfit is the standard deviation between rungs that seed noise does not explain, about "
        "the arm's own law"
    )
    if all(row["misfit"] is None for row in content["fits"]):
        return f"{text}; it takes four rungs to tell."
    own = next((row for row in content["fits"] if row["arm"] == content["replicate"]), None)
    if own is None or own["misfit"] is None:
        return f"{text}."
    return f"{text}; that of the replicate, {own['misfit']:.4f}, is what an arm without effect has."


def loss_cell(row: Mapping[str, Any]) -> str:
    """Return the mean loss of a cell with its standard deviation and number of seeds."""
    if row["mean"] is None:
        return f"{row['lost']} lost" if row["lost"] else ""
    sd = "" if row["sd"] is None else f" \u00b1 {row['sd']:.4f}"
    known = len(row["losses"])
    number = str(known) if known == row["seeds"] else f"{known} of {row['seeds']}"
    return f"{row['mean']:.4f}{sd} ({number})"


def _asymptote(law: Mapping[str, float]) -> str:
    return f"{law['asymptote']:.3f} ({law['low']:.3f} to {law['high']:.3f})"


def _law(law: Mapping[str, float]) -> str:
    return f"A {law['amplitude']:#.4g}, a {law['exponent']:.3f}"


def _timed(content: Mapping[str, Any]) -> Section:
    timed = content["timed"]
    if not timed["gains"]:
        return section("seconds", "Gains in wall-clock time", [], timed["notes"])
    rows = [
        [
            row["arm"],
            with_interval(row["rungs"][-1]),
            "" if row["trend"] is None else _factor(row["trend"]),
        ]
        for row in timed["gains"]
    ]
    seconds = [
        [row["arm"], *("" if one is None else format_duration(one) for one in row["seconds"])]
        for row in timed["seconds"]
    ]
    columns = ["arm", "gain at the highest rung", "change per tenfold time"]
    names = [rung["name"] for rung in content["rungs"]]
    return section(
        "seconds",
        "Gains in wall-clock time",
        [
            table("gains in wall-clock time", columns, rows),
            _gain_table(timed["gains"], content["rungs"], "gains in wall-clock time"),
            table("mean training time of a judged run", ["arm", *names], seconds),
        ],
        [*timed["notes"], *_misfit_notes(timed["gains"], "time")],
        ["gains_by_seconds"],
    )


def _seals(content: Mapping[str, Any]) -> Section:
    tables, notes = [], list(content["seal_problems"])
    for seal in content["seals"]:
        name = rung_name(seal["rung"])
        level = level_name(seal["level"])
        rows = [
            [
                row["arm"],
                row["quantity"],
                f"{_value(row, row['value'])} ({_value(row, row['low'])} to "
                f"{_value(row, row['high'])})",
                "" if row["actual"] is None else _value(row, row["actual"]),
                {True: "inside", False: "outside", None: ""}[row["is_inside"]],
            ]
            for row in seal["rows"]
        ]
        columns = ["arm", "quantity", f"forecast ({level} interval)", "result", "interval"]
        label = f"forecast of {name}, sealed {seal['time']}"
        tables.append(table(label, columns, rows, (0, 1, 4)))
        inside, number = inside_share(seal["rows"])
        notes += seal["problems"]
        of_earlier = "" if seal["is_own"] else " by an earlier ladder of this study"
        if number:
            notes.append(
                f"Forecast of {name}, sealed {seal['time']}{of_earlier}: {inside} of {number} "
                f"results are inside their {level} intervals ({100 * inside / number:.0f}%)."
            )
        elif seal["reason"]:
            notes.append(
                f"The seal of {seal['time']} for {name} holds no forecast: {seal['reason']}."
            )
        else:
            notes.append(f"Forecast of {name}, sealed {seal['time']}; {name} is not finished.")
    if tables and any(table["rows"] for table in tables):
        notes.append(
            "Losses are in nats per token, gains are factors. Forecasts are power laws and trends "
            "of the rungs below. Results of one rung share their errors, so that they tend to be "
            "inside or outside together."
        )
    return section("seals", "Sealed forecasts", tables, notes)


def _value(row: Mapping[str, Any], value: float) -> str:
    return f"{value:.4f}" if row["quantity"] == "loss" else factor_text(value)
