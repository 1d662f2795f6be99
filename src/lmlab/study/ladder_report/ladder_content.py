"""What the report of a ladder says beside the parts that every report has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.design.ladder import FIXED, TRANSFER
from lmlab.design.ladder_runs import BRACKET
from lmlab.study.ladder_report.arm_parts import (
    ladder_arms,
    ladder_costs,
    ladder_curves,
    ladder_runs,
    ladder_samples,
    ladder_setup,
    rate_cautions,
)
from lmlab.study.ladder_report.certificate import certificate_rows
from lmlab.study.ladder_report.fit_rows import fit_rows, fitted_curves, loss_rows, residual_rows
from lmlab.study.ladder_report.gain_rows import gains_of
from lmlab.study.ladder_report.headline import headline
from lmlab.study.ladder_report.ladder_study import LadderStudy, num_sharing
from lmlab.study.ladder_report.notes import decision_rule, ladder_glossary, ladder_limits
from lmlab.study.ladder_report.rate_rows import (
    has_rates,
    rate_rows,
    regret_rows,
    search_rows,
    spent_rows,
)
from lmlab.study.ladder_report.rung_rows import rung_rows
from lmlab.study.ladder_report.seal_rows import seal_rows
from lmlab.study.ladder_report.tables import build_sections
from lmlab.study.ladder_report.verdict_rows import verdict_rows
from lmlab.study.run_records import Study
from lmlab.study.run_section import finite
from lmlab.study.statistics import level_name
from lmlab.study.verdicts import arm_phrase


def build_ladder(found: LadderStudy) -> dict[str, Any]:
    """Return everything that the report says of a ladder, as plain values.

    Returns:
        Rows of ``verdicts``, ``gains``, ``losses``, ``fits``, ``residuals``, ``seals``, ``rungs``
        and ``rates``; ``certificates`` of rates that stay; ``curves`` of the fitted laws;
        ``timed``, gains by wall-clock seconds; the ``headline``, and the ``sections`` of
        :mod:`lmlab.study.ladder_report.tables`.
    """
    ladder, result = found.ladder, found.result
    gains = [] if result is None else gains_of(result, ladder.alpha, ladder.replicate)
    verdicts = verdict_rows(found)
    seals = seal_rows(found)
    top = len(ladder.rungs) - 1
    ends = {arm: flops[top] for arm, flops in found.facts.flops.items()}
    has_forecast = any(seal["rung"] == top and seal["rows"] for seal in seals)
    content: dict[str, Any] = {
        "baseline": ladder.baseline,
        "replicate": ladder.replicate,
        "confidence": level_name(1 - ladder.alpha),
        "margin": ladder.margin,
        "num_complete": found.facts.num_complete,
        "num_analysed": found.num_analysed,
        "verdicts": verdicts,
        "gains": gains,
        "losses": loss_rows(found),
        "fits": [] if result is None else _with_amplitudes(found, fit_rows(result, ladder.alpha)),
        "curves": [] if result is None else fitted_curves(result, ends if has_forecast else None),
        "residuals": [] if result is None else residual_rows(result),
        "timed": _timed(found),
        "seals": seals,
        "seal_problems": list(found.seals.problems),
        "rungs": rung_rows(found),
        "rates": _rates(found),
    }
    content["certificates"] = certificate_rows(found, content["rates"]["regrets"])
    by_arm = {row["arm"]: row for row in gains}
    content["headline"] = headline(
        found, verdicts, by_arm, seals, [row["sentence"] for row in content["certificates"]]
    )
    content["sections"] = build_sections(content)
    return content


def ladder_parts(study: Study, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report of a ladder says in place of the parts for plain runs.

    Args:
        study: a ladder.
        content: the parts for plain runs.
    """
    found = LadderStudy.of(study)
    ladder = build_ladder(found)
    return {
        "ladder": ladder,
        "sections": ladder["sections"],
        "question": found.ladder.question,
        "headline": ladder["headline"],
        "confidence": ladder["confidence"],
        "has_baseline": True,
        "arms": ladder_arms(found),
        "setup": ladder_setup(found),
        "costs": ladder_costs(found),
        "noise": decision_rule(found.ladder) if found.ladder.compared_arms else [],
        "limits": [*content["limits"], *ladder_limits(found)],
        "glossary": ladder_glossary(found.ladder),
        "runs": ladder_runs(found),
        "samples": ladder_samples(found),
        "rates": [],
        "rates_note": "",
        "curve_note": "Curves are of the judged runs of each arm on one rung.",
        **ladder_curves(found),
    }


def _with_amplitudes(found: LadderStudy, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add A in nats for compute in units of the baseline's lowest rung, which has a size."""
    unit = math.log(found.facts.flops[found.ladder.baseline][0])
    for row in rows:
        for law in (row["shared"], row["free"]):
            law["amplitude"] = math.exp(law["log_amplitude"] - law["exponent"] * unit)
    return rows


def _timed(found: LadderStudy) -> dict[str, Any]:
    """Return the gains by wall-clock seconds, with what to know about the times."""
    ladder, timed = found.ladder, found.timed
    seconds = [
        {"arm": arm, "seconds": [finite(one) for one in row]} for arm, row in found.seconds.items()
    ]
    gains = [] if timed is None else gains_of(timed, ladder.alpha, ladder.replicate)
    notes = []
    if timed is None and found.result is not None and ladder.compared_arms:
        notes.append(
            "Training times do not grow from rung to rung for every arm, so there are no gains in "
            "wall-clock time."
        )
    if gains:
        name = arm_phrase(ladder.baseline)
        notes = [
            f"The same losses against the mean training time of a judged run: a gain is how many "
            f"times the training time {name} needs for the loss of the arm. They describe this "
            "code on this machine, and get no verdict. Evaluation is left out.",
            *_machine_notes(found),
        ]
    return {"gains": gains, "seconds": seconds, "notes": notes}


def _machine_notes(found: LadderStudy) -> list[str]:
    """State the machine, and how many runs were trained beside others."""
    records = [record for runs in found.records.values() for record in runs]
    sessions = [session for record in records for session in record.meta.get("sessions", [])[-1:]]
    machines = sorted(
        {f"{one.get('device', 'unknown')} on {one.get('platform', 'unknown')}" for one in sessions}
    )
    notes = [f"Machine: {'; '.join(machines)}."] if machines else []
    done = [record for record in records if record.state == "done"]
    sharing = num_sharing(done, found.study.records)
    if sharing:
        notes.append(
            f"{sharing:,} of {format_count(len(done), 'run')} shared the machine with another run "
            "of the study at the time, so that times depend on the load."
        )
    if any(not record.started for record in done):
        notes.append("Whether runs shared the machine is not recorded for all of them.")
    return notes


def _rates(found: LadderStudy) -> dict[str, Any]:
    ladder, rows, axis = found.ladder, rate_rows(found), found.facts.rates.axis
    if not has_rates(rows):
        return {
            "arms": [],
            "axis": axis.label,
            "searches": [],
            "regrets": [],
            "spent": [],
            "notes": [],
        }
    notes = []
    if ladder.lr == FIXED:
        notes.append("Learning rates are configured, not tuned.")
    else:
        notes.append(
            f"Behind a rate: the {level_name(1 - ladder.alpha)} interval of the best one. Drift is "
            f"the factor by which the best rate changes per doubling of {axis.doubling}; 1 is none."
        )
    if ladder.lr == TRANSFER:
        notes.append(
            "A transferred rate is read from the power law through the searched ones. The "
            "bracketing check trains the highest rung at it and half a grid step to either side; "
            "the regret is the loss at the transferred rate minus the lowest within the bracket."
        )
    regrets = regret_rows(found)
    if any(row["evidence"] != BRACKET for row in regrets):
        notes.append(
            "The regret of the best rate of r1 is its loss minus that at the rate of the highest "
            "rung, by the same seeds."
        )
    cautions = rate_cautions(found) if ladder.lr != FIXED else []
    if cautions:
        notes.append(f"The learning rate may not be the best one: {'. '.join(cautions)}.")
    return {
        "arms": rows,
        "axis": axis.label,
        "searches": search_rows(found),
        "regrets": regrets,
        "spent": spent_rows(found) if ladder.lr != FIXED else [],
        "notes": notes,
    }
