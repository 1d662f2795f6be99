"""Runs that share their first updates: one is the trunk, and the others branch from it.

Runs that differ only in their number of steps and their schedule take the same updates for as long
as their learning rates are equal: with ``schedule=wsd``, until the shorter one decays. The trunk
trains these updates once and keeps its state there; every other run starts from that checkpoint
(Haegele et al. 2024). Each has the result that it would have alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.run_keys import arm_settings, run_seeds, typed_arm_settings
from lmlab.storage.io import hash_json

# What may differ between runs that share updates.
_FREE = ("training.steps", "schedule.")


@dataclasses.dataclass(frozen=True)
class Sharer:
    """A run that may share its first updates with others.

    Attributes:
        family: equal for runs that differ in steps and schedule only; see :func:`family_key`.
        run: equal for two trainings of the same run; see :func:`run_key`. One does not take over
            updates from the other: they were asked for twice.
        factors: factor of the peak learning rate of each update.
        saved: steps of the checkpoints that it has.
        keeps: steps of checkpoints that it will have; None if it keeps what is asked of it.
        is_open: whether it still trains, or will.
        can_branch: whether it has trained nothing yet.
    """

    family: str
    run: str
    factors: Sequence[float]
    saved: tuple[int, ...] = ()
    keeps: tuple[int, ...] | None = None
    is_open: bool = True
    can_branch: bool = True


@dataclasses.dataclass(frozen=True)
class Branch:
    """Where a run starts.

    Attributes:
        trunk: position of the run from whose checkpoint it starts.
        step: of the checkpoint.
        is_saved: whether the checkpoint exists.
    """

    trunk: int
    step: int
    is_saved: bool


def family_key(content: Mapping[str, Any]) -> str:
    """Return a hash that is equal for runs that differ in steps and schedule only.

    Args:
        content: the configuration as nested plain values. Spellings of one value count as
            different, as they do where a run names its parent.
    """
    settings = typed_arm_settings(content)
    kept = {key: value for key, value in settings.items() if not key.startswith(_FREE)}
    return hash_json([sorted(kept.items()), run_seeds(content), str(content["output_root"])])


def run_key(content: Mapping[str, Any]) -> str:
    """Return a hash that is equal for configurations that train the same run."""
    return hash_json([sorted(arm_settings(content).items()), run_seeds(content)])


def shared_updates(trunk: Sequence[float], branch: Sequence[float]) -> int:
    """Return the number of first updates that a branch can take over from a trunk.

    These have the same learning rate. The last update is left to the branch, which then evaluates
    and saves its result itself.

    Args:
        trunk: factors of its updates.
        branch: factors of its updates.
    """
    most = min(len(trunk), len(branch) - 1)
    return next((step for step in range(most) if trunk[step] != branch[step]), max(0, most))


def plan_branches(sharers: Sequence[Sharer]) -> dict[int, Branch]:
    """Choose the trunks, and the runs that branch from them, by the position of the branch.

    Repeatedly, the run from which the others can take over most updates becomes a trunk; of equal
    ones, the longest, then the first. A trunk waits for no other run, so that no runs wait for each
    other.

    Args:
        sharers: different runs.
    """
    families: dict[str, list[int]] = {}
    for position, sharer in enumerate(sharers):
        families.setdefault(sharer.family, []).append(position)
    found: dict[int, Branch] = {}
    for members in families.values():
        found |= _Family(sharers, members).plan()
    return found


class _Family:
    """The runs that differ in steps and schedule only, by their positions."""

    def __init__(self, sharers: Sequence[Sharer], members: Sequence[int]) -> None:
        self.sharers, self.members = sharers, members
        self.waiting = [one for one in members if sharers[one].can_branch]
        self.shared = {
            (trunk, branch): shared_updates(sharers[trunk].factors, sharers[branch].factors)
            for trunk in members
            for branch in self.waiting
            if sharers[trunk].run != sharers[branch].run
        }
        # The best start that each run has already; no updates where there is none.
        self.saved = {branch: self._from_saved(branch) for branch in self.waiting}

    def plan(self) -> dict[int, Branch]:
        """Return where each run starts that takes over updates."""
        found: dict[int, Branch] = {}
        trunks = [one for one in self.members if self.sharers[one].is_open]
        while trunks:
            offers = {trunk: self._offers(trunk) for trunk in trunks}
            trunk = max(
                trunks,
                key=lambda one: (
                    sum(branch.step for branch in offers[one].values()),
                    len(self.sharers[one].factors),
                ),
            )
            if not offers[trunk]:
                break
            found |= offers[trunk]
            trunks = [one for one in trunks if one != trunk and one not in found]
            self.waiting = [one for one in self.waiting if one != trunk and one not in found]
        saved = {one: branch for one, branch in self.saved.items() if branch.step > 0}
        return saved | found

    def _from_saved(self, branch: int) -> Branch:
        starts = [
            Branch(trunk, step, is_saved=True)
            for (trunk, other), shared in self.shared.items()
            if other == branch
            for step in self.sharers[trunk].saved
            if step <= shared
        ]
        return max(starts, key=lambda one: one.step, default=Branch(branch, 0, is_saved=True))

    def _offers(self, trunk: int) -> dict[int, Branch]:
        """Return the runs that start later from a trunk than from what is saved, and where."""
        offers = {}
        for branch in self.waiting:
            step = self._promised(trunk, self.shared.get((trunk, branch), 0))
            if step > self.saved[branch].step:
                offers[branch] = Branch(trunk, step, step in self.sharers[trunk].saved)
        return offers

    def _promised(self, trunk: int, shared: int) -> int:
        """Return the last of the first ``shared`` updates that a trunk will have saved."""
        sharer = self.sharers[trunk]
        start = self.saved[trunk].step if sharer.can_branch else max(sharer.saved, default=0)
        if sharer.keeps is None and start <= shared:
            return min(shared, len(sharer.factors) - 1)
        return max((one for one in sharer.keeps or () if one <= shared), default=0)
