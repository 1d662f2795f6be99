"""The part of a report about its arms: how they are configured, and what they cost."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from typing import Any

from lmlab.console.formatting import format_list
from lmlab.design.comparison import Comparison
from lmlab.design.fairness import LABELS, TABLE_COLUMNS, ArmCosts, cost_table, find_differences
from lmlab.run_folder import differences
from lmlab.study.rate_basin import describe_basin
from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.rate_edges import edge_basis, near_edge, rate_states, runs_by_rate, stable_edge
from lmlab.study.rerun_commands import arm_commands
from lmlab.study.run_records import Study
from lmlab.study.study_facts import setting_values, swept_settings

# Overrides of a sweep that configure no arm; the commands state them.
_BOOKKEEPING = re.compile(r"(study|seed|seeds\..*|output_root)=.*")
# Settings that differ between arms without changing what is trained.
_IGNORED_DIFFERENCES = re.compile(r"(arm|study|seed|seeds\..*|output_root|samples.*)(:|\.).*")


def build_arms(study: Study) -> list[dict[str, Any]]:
    """Return for each arm its overrides, commands, learning rates and differences."""
    manifest = study.manifest
    if manifest is None or manifest.comparison is None:
        names = dict.fromkeys(record.job.arm for record in study.records)
        swept = swept_settings(study)
        return [_arm_without_comparison(study, name, swept) for name in names]
    design, arms = manifest.comparison, []
    reference = manifest.arms[manifest.names.index(design.baseline or manifest.names[0])]
    for arm in design.judged_arms:
        like = str(design.baseline) if arm == design.replicate else arm
        index = manifest.names.index(like)
        rate = manifest.judged_lr(arm, study.outcomes)
        edge, near, basis, states, basin, caution = None, [False, False], "", [], "", ""
        if design.lr == "search" and arm in design.arms:  # the replicate has no search of its own
            tried = runs_by_rate(study, arm)
            stable, unstable = stable_edge(tried)
            edge = [stable, unstable] if unstable is not None else None
            near = near_edge(tried)
            basis, states = edge_basis(tried), [list(state) for state in rate_states(tried)]
            basin = describe_basin(study, arm)
            caution = "; ".join(rate_cautions(study, arm))
        lines = differences(reference, manifest.arms[index])
        changes = _shown_differences(
            [line for line in lines if not _IGNORED_DIFFERENCES.match(line)],
            ["optim.lr"] if design.lr == "search" else [],
        )
        is_solved = design.solve_d_ff and arm not in design.keep_d_ff
        is_solved = is_solved and not _sets_width(manifest.overrides[index])
        arms.append(
            {
                "name": arm,
                "is_baseline": arm == design.baseline,
                "overrides": manifest.overrides[index],
                "commands": arm_commands(manifest, arm, rate),
                "best_lr": rate,
                "edge": edge,
                "edge_near": near,
                "edge_basis": basis,
                "rate_basin": basin,
                "rate_caution": caution,
                "rate_states": states,
                "settings": {},
                "differences": [_with_width(row, study, like, is_solved) for row in changes],
            }
        )
    return sorted(arms, key=lambda arm: not arm["is_baseline"])  # the baseline, then as declared


def _arm_without_comparison(study: Study, name: str, swept: Sequence[str]) -> dict[str, Any]:
    overrides: list[str] = []
    if study.manifest is not None and name in study.manifest.names:
        overrides = study.manifest.overrides[study.manifest.names.index(name)]
    command = shlex.join(["python", "-m", "lmlab.train", *overrides]) if overrides else ""
    return {
        "name": name, "is_baseline": False,
        "overrides": [one for one in overrides if not _BOOKKEEPING.fullmatch(one)],
        "commands": [command] if command else [], "best_lr": None, "edge": None, "edge_basis": "",
        "edge_near": [False, False],
        "rate_basin": "", "rate_caution": "", "rate_states": [], "differences": [],
        "settings": setting_values(study, name, swept),
    }  # fmt: skip


def _shown_differences(lines: Sequence[str], ignored: Sequence[str]) -> list[dict[str, str]]:
    """Split lines of :func:`differences`; a component is one setting, named by its class.

    Settings that only one of two components has follow from the component, so they are left out.
    """
    rows = []
    for line in lines:
        key, _, values = line.partition(": ")
        of_baseline, _, of_arm = values.partition(" -> ")
        rows.append({"key": key, "baseline": of_baseline, "arm": of_arm})
    replaced = [row["key"].removesuffix("_target_") for row in rows if _is_component(row["key"])]
    shown = []
    for row in rows:
        is_part = any(row["key"].startswith(component) for component in replaced)
        if _is_component(row["key"]):
            classes = [row[side].rpartition(".")[2] for side in ("baseline", "arm")]
            if classes[0] != classes[1]:  # otherwise the modules differ
                row |= dict(zip(("baseline", "arm"), classes, strict=True))
            row["key"] = row["key"].removesuffix("._target_")
        elif row["key"] in ignored or (is_part and "None" in (row["baseline"], row["arm"])):
            continue
        shown.append(row)
    return shown


def _sets_width(overrides: Sequence[str]) -> bool:
    """Return whether overrides choose the feed-forward width, themselves or by a whole model."""
    keys = {one.lstrip("+").partition("=")[0].lstrip("/") for one in overrides}
    return bool(keys & {"model.d_ff", "model", "scale"})


def _with_width(row: dict[str, str], study: Study, arm: str, is_solved: bool) -> dict[str, str]:
    """Return a difference; of ``model.d_ff``, with the width of ``auto`` and what was solved."""
    if row["key"] != "model.d_ff" or study.manifest is None or study.manifest.comparison is None:
        return row
    baseline = study.manifest.comparison.baseline or study.manifest.names[0]
    shown = dict(row)
    for side, name in (("baseline", baseline), ("arm", arm)):
        shown[side] = described_width(study, name, row[side])
    if is_solved and row["arm"] != "auto":
        shown["arm"] += " (solved to match the parameters)"
    return shown


def described_width(study: Study, arm: str, d_ff: Any) -> Any:
    """Return ``model.d_ff`` as configured; ``auto`` with the width that results from it."""
    width = study.arm_costs.get(arm, {}).get("d_ff")
    return f"auto ({width})" if d_ff == "auto" and width else d_ff


def _is_component(key: str) -> bool:
    return key.endswith("._target_")


def build_costs(study: Study) -> dict[str, Any]:
    """Return cost and data of each arm as a table, with notes on what differs."""
    if not study.arm_costs or study.manifest is None or study.manifest.comparison is None:
        return {"columns": [], "rows": [], "notes": []}
    first = study.manifest.comparison.baseline
    arm_costs = {arm: ArmCosts(**costs) for arm, costs in study.arm_costs.items()}
    arm_costs = dict(sorted(arm_costs.items(), key=lambda item: item[0] != first))
    found = find_differences(arm_costs, study.manifest.comparison)
    notes = [f"Allowed by the study: {difference.description}." for difference in found]
    if not notes and len(arm_costs) > 1:
        baseline = study.manifest.comparison.baseline
        reference = next(iter(arm_costs)) if baseline is None else "the baseline"
        notes = [_describe_match(reference, study.manifest.comparison, arm_costs.values())]
    return {"columns": list(TABLE_COLUMNS), "rows": cost_table(arm_costs), "notes": notes}


def _describe_match(reference: str, design: Comparison, arm_costs: Collection[ArmCosts]) -> str:
    """State in what all arms are equal, and in what they are equal within a tolerance."""
    near = {
        key: tolerance
        for key, tolerance in design.tolerance.items()
        if len({getattr(costs, key, None) for costs in arm_costs}) > 1  # batches are equal
    }
    equal = [label for key, label in LABELS.items() if key not in near]
    text = f"All arms match {reference}: {format_list(equal)} are equal"
    if not near:
        return f"{text}."
    within = [f"{LABELS[key]} within the tolerance of {100 * one:g}%" for key, one in near.items()]
    return f"{text}, {format_list(within)}."
