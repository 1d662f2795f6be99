"""Figures of probes: accuracy over training tokens, with the best possible accuracy as a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lmlab.run_folder import RunFolder
from lmlab.storage.record_fields import probe_rows
from lmlab.study.figure_style import GREEN, GREY, new_figure, save, shorten
from lmlab.study.probe_section import probe_facts
from lmlab.study.score_panels import Curves, draw_score, finish_panels

_COLUMNS = 3


def draw_run_probes(run_folder: Path) -> list[Path]:
    """Draw the probes of one run into its folder.

    Returns:
        Paths of ``probes.png``, ``.svg`` and ``.pdf``; empty if the run has no probes.
    """
    run = RunFolder(Path(run_folder))
    facts = probe_facts(run.meta())
    curves: dict[str, dict[str, list[float]]] = {}
    for row in probe_rows(run.rows("probes")):
        curve = curves.setdefault(row["name"], {"tokens": [], "accuracy": []})
        curve["tokens"].append(row.get("tokens", 0))
        curve["accuracy"].append(row["accuracy"])
    if not facts or not curves:
        return []
    name = "/".join(run.path.resolve().parts[-3:])
    figure = _draw(facts, {"": [curves]}, shorten(name, 80))
    return save(figure, run.path / "probes")


def draw_probes(content: dict[str, Any]) -> Figure | None:
    """Draw the probes of a study, one panel each: means over seeds, and single seeds.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.

    Returns:
        The figure; None without probes, and for a ladder, whose rungs have no common axis.
    """
    probes = content["probes"]
    if probes is None or content["ladder"] is not None:
        return None
    by_arm: dict[str, list[Curves]] = {arm["name"]: [] for arm in content["arms"]}
    for curve in probes["curves"]:
        by_arm.setdefault(curve["arm"], []).append(curve["probes"])
    return _draw(probes["facts"], by_arm, f"{content['title']}: accuracy on probes")


def _draw(
    facts: Mapping[str, Mapping[str, float]],
    by_arm: Mapping[str, Sequence[Curves]],
    title: str,
) -> Figure:
    columns = min(_COLUMNS, len(facts))
    rows = math.ceil(len(facts) / columns)
    figure = new_figure(2.9 * columns, 0.9 + 2.1 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, (name, of_probe) in zip(panels, facts.items(), strict=False):
        axes.axhline(of_probe["best"], color=GREEN, linestyle="--", linewidth=1.3, label="_best")
        axes.axhline(of_probe["chance"], color=GREY, linestyle=":", linewidth=1.1, label="_chance")
        draw_score(axes, by_arm, name, "accuracy")
        axes.set_title(name.replace("_", " "), loc="left", fontsize=10)
        axes.set_ylim(0, 1.04)
    first = next(iter(facts.values()))
    # Curves start at the left near a guess, and end at the right near the best.
    for text, value, colour, x in (
        ("best possible", first["best"], GREEN, 0.02), ("a guess", first["chance"], GREY, 0.98),
    ):  # fmt: skip
        panels[0].annotate(
            text, (x, value), color=colour, fontsize=7.5, xycoords=("axes fraction", "data"),
            ha="left" if x < 0.5 else "right", va="top", xytext=(0, -2),
            textcoords="offset points",
        )  # fmt: skip
    figure.supylabel("accuracy", fontsize=9)
    finish_panels(figure, list(panels), len(facts), columns, title)
    return figure
