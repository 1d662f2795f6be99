"""Looks that a study has already taken at its arms, before it is repeated with more seeds or arms.

A report that asks for more seeds invites its reader to repeat the study with a larger
``num_seeds``. The runs of before are used again, so the repetition is a further look at the same
runs, and its p-values have to account for it. A study may also be repeated with further arms: the
new ones share its level with the old ones, and the report says which they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from lmlab.design.manifest import Manifest
from lmlab.design.run_keys import differing, typed_arm_settings
from lmlab.errors import DataError
from lmlab.run_folder import FINISHED
from lmlab.study.decision_rules import decision_rule
from lmlab.study.sweep_folder import SweepFolder, sweeps_in


def count_earlier_looks(manifest: Manifest, folder: SweepFolder) -> Manifest:
    """Return the manifest with what earlier sweeps of the study have judged.

    An earlier sweep counts if it compares one or more of the same arms with the same baseline by
    the same metric, and all its runs of the baseline have finished. Whether someone has read its
    report is not known; it is assumed. Settings that change no result, such as the tracker, do not
    distinguish arms.

    ``earlier_looks`` gets the numbers of seeds at which they were judged, as far as these are fewer
    than those of this study. ``earlier_arms`` gets the arms that were judged, on any number of
    seeds, if others were added since, and ``dropped_arms`` those that this study no longer has.

    Args:
        manifest: the study that is about to start.
        folder: folder of its sweep.
    """
    design = manifest.comparison
    if design is None or design.baseline is None:
        return manifest
    total = design.most_seeds
    looks: set[int] = set()
    before: dict[str, None] = {}
    dropped: dict[str, None] = {}
    for earlier, taken in _judged_before(manifest, folder):
        looks |= {number for number in taken if number < total}
        known, lost = _same_arms(earlier, manifest)
        before |= dict.fromkeys(known)
        dropped |= dict.fromkeys(lost)
    tested = [arm for arm in design.arms if arm != design.baseline]
    earlier_arms = [arm for arm in tested if arm in before]
    changed = dataclasses.replace(
        design,
        earlier_looks=sorted(looks),
        earlier_arms=earlier_arms if len(earlier_arms) < len(tested) else [],
        dropped_arms=[arm for arm in dropped if arm not in tested],
    )
    return dataclasses.replace(manifest, comparison=changed)


def _judged_before(manifest: Manifest, folder: SweepFolder) -> Iterator[tuple[Manifest, list[int]]]:
    """Yield earlier sweeps that have judged arms of the study, and on how many seeds."""
    for sweep in sweeps_in(folder.study_folder):
        if sweep.path == folder.path:
            continue
        try:
            earlier = sweep.manifest()
        except DataError:
            continue  # not a sweep of this version
        taken = _looks_taken(earlier, sweep) if _compares_the_same(earlier, manifest) else []
        if taken:
            yield earlier, taken


def _same_arms(earlier: Manifest, manifest: Manifest) -> tuple[list[str], list[str]]:
    """Return the arms that an earlier sweep compared, too, and those of it that are left out now.

    Arms are the same by their settings, whatever their names.
    """
    design, before = manifest.comparison, earlier.comparison
    assert design is not None and before is not None
    arms, old_arms = _arms(manifest), _arms(earlier)
    known, dropped = [], []
    for old in before.arms:
        if old == before.baseline:
            continue
        same = [arm for arm in design.arms if not differing(arms[arm], old_arms[old])]
        known += same
        dropped += [] if same else [old]
    return known, dropped


def _compares_the_same(earlier: Manifest, manifest: Manifest) -> bool:
    design, before = manifest.comparison, earlier.comparison
    assert design is not None
    if before is None or before.baseline is None or before.metric != design.metric:
        return False
    if earlier.held_seeds != manifest.held_seeds:
        return False
    arms, old_arms = _arms(manifest), _arms(earlier)
    if differing(arms[str(design.baseline)], old_arms[before.baseline]):
        return False
    old = [old_arms[arm] for arm in before.arms if arm != before.baseline]
    new = [arms[arm] for arm in design.arms if arm != design.baseline]
    return any(not differing(one, other) for one in new for other in old)


def _arms(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return what distinguishes the runs of each arm, by its name."""
    return {
        name: typed_arm_settings(arm) | {"seed": arm["seed"], "seeds": arm["seeds"]}
        for name, arm in zip(manifest.names, manifest.arms, strict=True)
    }


def _looks_taken(manifest: Manifest, sweep: SweepFolder) -> list[int]:
    """Numbers of seeds at which an earlier sweep has judged its arms."""
    design = manifest.comparison
    assert design is not None
    finished = {
        entry.job.seed
        for entry in sweep.entries()
        if entry.job.arm == design.baseline
        and "judged" in entry.purposes
        and entry.run.status().get("status") in FINISHED
    }
    seeds = manifest.evaluation_seeds(str(design.baseline), undecided=[str(design.baseline)])
    planned = set(decision_rule(dataclasses.replace(design, earlier_looks=[])).looks)
    return [number for number in sorted(planned) if finished >= set(seeds[:number])]
