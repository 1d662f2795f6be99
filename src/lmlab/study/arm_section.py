"""The part of a report about its arms: how they are configured, and what they cost."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from lmlab.design.fairness import TABLE_COLUMNS, ArmCosts, cost_table, find_differences
from lmlab.design.manifest import tuning_outcomes
from lmlab.run_folder import differences
from lmlab.study.rerun_commands import arm_commands
from lmlab.study.run_records import Study
from lmlab.study.study_facts import setting_values, swept_settings

# Settings that differ between arms without changing what is trained, or that the search sets.
_IGNORED_DIFFERENCES = re.compile(
    r"(arm|study|seed|seeds\..*|optim\.lr|output_root|samples.*)(:|\.).*"
)


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
        edge = None
        if design.lr == "search" and arm in design.arms:  # the replicate has no search of its own
            stable, diverged = manifest.lr_search(like).divergence_edge(
                tuning_outcomes(like, study.outcomes)
            )
            edge = [stable, diverged] if diverged is not None else None
        lines = differences(reference, manifest.arms[index])
        arms.append(
            {
                "name": arm,
                "is_baseline": arm == design.baseline,
                "overrides": manifest.overrides[index],
                "commands": arm_commands(manifest, arm, rate),
                "best_lr": rate,
                "edge": edge,
                "settings": {},
                "differences": [
                    _parse_difference(line)
                    for line in lines
                    if not _IGNORED_DIFFERENCES.match(line)
                ],
            }
        )
    return arms


def _arm_without_comparison(study: Study, name: str, swept: Sequence[str]) -> dict[str, Any]:
    overrides: list[str] = []
    if study.manifest is not None and name in study.manifest.names:
        overrides = study.manifest.overrides[study.manifest.names.index(name)]
    command = shlex.join(["python", "-m", "lmlab.train", *overrides]) if overrides else ""
    return {
        "name": name, "is_baseline": False, "overrides": overrides,
        "commands": [command] if command else [], "best_lr": None, "edge": None, "differences": [],
        "settings": setting_values(study, name, swept),
    }  # fmt: skip


def _parse_difference(line: str) -> dict[str, str]:
    key, _, values = line.partition(": ")
    of_baseline, _, of_arm = values.partition(" -> ")
    return {"key": key, "baseline": of_baseline, "arm": of_arm}


def build_costs(study: Study) -> dict[str, Any]:
    """Return cost and data of each arm as a table, with notes on what differs."""
    if not study.arm_costs or study.manifest is None or study.manifest.comparison is None:
        return {"columns": [], "rows": [], "notes": []}
    arm_costs = {arm: ArmCosts(**costs) for arm, costs in study.arm_costs.items()}
    found = find_differences(arm_costs, study.manifest.comparison)
    notes = [f"Allowed by the study: {difference.description}." for difference in found]
    if not notes and len(arm_costs) > 1:
        baseline = study.manifest.comparison.baseline
        reference = next(iter(arm_costs)) if baseline is None else "the baseline"
        notes = [
            f"All arms match {reference}, within the study's tolerance, in parameters, FLOPs per "
            "token, training tokens, evaluation tokens, batches, context, data and tokenizer."
        ]
    return {"columns": list(TABLE_COLUMNS), "rows": cost_table(arm_costs), "notes": notes}
