"""Recorded runs of a study, as if its searches had been pruned and its looks sequential.

    python tests/support/replay_pruned.py experiments/ablations --save FILE

A pruned search finds rates that differ a little, at which the record has no judged runs. Verdicts
are therefore those of the recorded runs; the second table states how far the rates are apart, and
by how much the loss differs between them, on the parabola of the recorded search.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Collection
from pathlib import Path

from replay_sequential import replay

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.design.pruning import ALWAYS
from lmlab.study.run_records import Study, load_study


def with_pruning(manifest: Manifest) -> Manifest:
    """Return the study with pruned searches."""
    assert manifest.comparison is not None
    pruned = dataclasses.replace(manifest.comparison, prune=ALWAYS)
    return dataclasses.replace(manifest, comparison=pruned)


def pruned_jobs(study: Study) -> set[Job]:
    """Return the recorded runs that pruned searches would have left out."""
    assert study.manifest is not None
    pruned = with_pruning(study.manifest)
    jobs = set()
    for arm in pruned.searched_arms:
        trials = tuning_outcomes(arm, study.outcomes)
        jobs |= {Job(arm, *run) for run in pruned.lr_search(arm).pruned_runs(trials)}
    return jobs & study.outcomes.keys()


def cost_rows(study: Study) -> list[list[str]]:
    """Return a row for each kind of looks: runs and updates, with and without pruning."""
    steps = {record.job: int(record.reached("step") or 0) for record in study.records}
    left_out, total = pruned_jobs(study), len(steps)
    updates = sum(steps.values())

    def cells(jobs: Collection[Job], to_come: int) -> list[str]:
        number, work = len(jobs), sum(steps[job] for job in jobs)
        text = f"{number} ({number / total:.3f})"
        more = f" + {to_come}" if to_come else ""
        return [f"{text}{more}", f"{work:,} ({work / updates:.3f})"]

    rows = [["looks", "runs", "updates", "runs, pruned", "updates, pruned", "verdicts"]]
    rows.append(["as recorded", *cells(steps.keys(), 0), *cells(steps.keys() - left_out, 0), ""])
    for most, futility in ((None, 0.05), (None, 0.0), (8, 0.05)):
        found = replay(study, most, futility)
        design = found.manifest.comparison
        assert design is not None
        granted = found.manifest.required_jobs(
            {job: one for job, one in study.outcomes.items()}, granted=found.waves.seeds
        )
        jobs = {job for job in granted if job in steps}
        to_come = len(granted) - len(jobs)
        changed = [
            f"{arm}: {found.recorded[arm].label} → {one.label}"
            for arm, one in found.replayed.items()
            if one.label != found.recorded[arm].label
        ]
        rows.append(
            [f"{design.min_seeds} to {design.most_seeds} seeds, futility {futility:g}",
             *cells(jobs, to_come), *cells(jobs - left_out, to_come), "; ".join(changed) or "same"]
        )  # fmt: skip
    return rows


def rate_rows(study: Study) -> list[list[str]]:
    """Return a row for each arm: the runs of its search, and both rates that it finds."""
    rows = [["arm", "runs", "pruned", "rate", "rate, pruned", "loss at it, by the parabola"]]
    assert study.manifest is not None
    pruned = with_pruning(study.manifest)
    for arm in pruned.searched_arms:
        trials = tuning_outcomes(arm, study.outcomes)
        whole, part = study.manifest.lr_search(arm), pruned.lr_search(arm)
        rate, other, basin = whole.best_lr(trials), part.best_lr(trials), whole.basin(trials)
        assert rate is not None and other is not None and basin is not None
        assert basin.curvature is not None
        fitted = whole.fitted_rates(trials)
        step = math.log(fitted[-1] / fitted[0]) / (len(fitted) - 1)
        excess = basin.curvature * (math.log(other / rate) / step) ** 2
        rows.append(
            [arm, str(len(whole.required_runs(trials))), str(len(part.required_runs(trials))),
             f"{rate:g}", f"{other:g}", f"+{excess:.4f}"]
        )  # fmt: skip
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a recorded study")
    parser.add_argument("--save", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    study = load_study(arguments.folder)
    texts = [f"# python tests/support/replay_pruned.py experiments/{study.name}"]
    for rows in (cost_rows(study), rate_rows(study)):
        lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
        texts.append("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows[1:])]))
    text = "\n\n".join(texts) + "\n"
    print(text)
    if arguments.save:
        arguments.save.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
